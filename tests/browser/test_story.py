"""The main job, clicked through: pledge, loan, approval, the bank's answer, the price falls, the margin call."""

from __future__ import annotations

import re
import time

import pytest

from entrepot.region.plan import DEMO_PASSWORD
from tests.browser.conftest import Open
from tests.browser.driver import DESKTOP, PHONE, Browser

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(300)]
LOAN = "36,000,000"
PAGES = ("/", "/tanks", "/tanks/tk-101", "/receipts", "/facilities", "/cases", "/inbox", "/ledger", "/operations")


def test_the_story(browser: Open) -> None:
    trader, bank = browser("trader"), browser("bank")
    facility = _pledge_and_ask(trader)
    _approve(bank, facility)
    trader.says("¥36,000,000.00")
    trader.until(lambda: "booked" in trader.text(), "the booked loan")
    trader.says("59.73%")  # 36,000,000.00 over 8,000 t at 7,534.71 a tonne (Brent of 2008-07-03), rounded up
    trader.shot("06-booked")
    _let_the_price_fall(trader)
    _margin_call(trader, facility)
    _in_both_languages(trader, facility)


def _pledge_and_ask(trader: Browser) -> str:
    trader.sign_in("chen.trader", DEMO_PASSWORD)
    trader.says("Huanghe Energy Trading")
    trader.open("/tanks")
    trader.says("book and sensor agree", 60)  # the gauge reports, then the first goods are booked
    first = trader.find("[data-tank=tk-101]").text
    trader.until(lambda: trader.find("[data-tank=tk-101]").text != first, "the next reading, without reloading")
    trader.shot("01-tank-live")
    trader.open("/receipts")
    trader.until(lambda: trader.text().count("issued") >= 2, "two receipts", 60)
    trader.shot("02-receipts")
    trader.open("/facilities")
    facility = trader.find('a[href^="/facilities/fac_"]').get_attribute("href")
    assert facility is not None
    trader.open(facility)
    trader.click(trader.mark("tradefinance.pledge"))
    trader.says("cannot be moved or pledged again")
    trader.click(trader.mark("confirm"))
    trader.says("Pledged.")
    trader.says("¥60,277,680.00")
    trader.says("proxy price")
    trader.shot("03-pledged")
    trader.click(trader.mark("tradefinance.request_loan"))
    trader.write(trader.mark("amount"), "66,000,000")
    trader.click(trader.mark("confirm"))
    trader.says("has room for ¥36,166,608.00")  # refused in place, in yuan
    trader.shot("04-refused")
    trader.write(trader.mark("amount"), LOAN)
    trader.click(trader.mark("confirm"))
    trader.says("Requested.")
    return facility


def _approve(bank: Browser, facility: str) -> None:
    bank.sign_in("zhao.bank", DEMO_PASSWORD)
    bank.until(lambda: bank.find(".bell").text.strip().startswith("notifications\n1") or "1" in bank.find(".bell").text,
               "the unread notice")  # fmt: skip
    bank.open("/inbox")
    bank.says("Loan requested")
    bank.click(bank.mark("receipt"))
    bank.says("Receipt given.")
    bank.open(facility)
    bank.click(bank.mark("tradefinance.approve_loan"))
    bank.says("¥36,000,000.00")
    bank.shot("05-approve")
    bank.click(bank.mark("confirm"))
    bank.says("Approved")
    bank.until(lambda: "booked" in bank.text() and "confirmed" in bank.text(), "the bank's answer, booked")


def _let_the_price_fall(trader: Browser) -> None:
    trader.open("/")
    for _ in range(4):
        trader.click(trader.mark("advance-10"))
        trader.says("a tonne.")
        trader.until(lambda: "a tonne." not in trader.text() or "Margin call" in trader.text(), "the next moment")
        if "Margin call" in trader.text():
            break
    trader.says("Margin call")
    trader.shot("07-overview-after-the-fall")


def _margin_call(trader: Browser, facility: str) -> None:
    trader.open("/cases")
    trader.says("Margin call")
    row = next(line for line in trader.text().splitlines() if "Margin call" in line)
    assert row
    assert re.search(r"\d{4}-\d\d-\d\d \d\d:\d\d", trader.find("table.t tbody tr").text), "the deadline"
    assert re.search(r"in \d", trader.find("table.t tbody tr").text), "what is left of it"
    trader.shot("08-cases")
    trader.click('a[href^="/cases/cas_"]')
    trader.says("Awaiting top-up")
    trader.shot("09-margin-call")
    trader.open(facility)
    trader.find('[data-case="margin_call"]')
    trader.says("top-up line")
    trader.shot("10-facility-called")


def _in_both_languages(trader: Browser, facility: str) -> None:
    for number, (language, word) in enumerate((("en", "Overview"), ("zh", "总览"))):
        if number:
            trader.open("/")
            trader.click(trader.mark("language"))
            trader.says(word)
        for size, name in ((DESKTOP, "desktop"), (PHONE, "phone")):
            trader.size(*size)
            for path in (*PAGES, facility):
                trader.open(path)
                assert trader.overflow() == [], f"{path} in {language} on a {name}"
                page = "facility" if path == facility else path.strip("/").replace("/", "-") or "overview"
                trader.shot(f"{language}-{name}-{page}")
        trader.click(".menu")
        assert trader.find(".nav").is_displayed()
        trader.shot(f"{language}-phone-menu")
        trader.size(*DESKTOP)
    trader.open("/cases")
    trader.says("补足担保通知")
    trader.open(facility)
    trader.says("触及补足线")


def test_the_door(browser: Open) -> None:
    someone = browser("someone")
    someone.size(*PHONE)
    someone.open("/facilities")
    someone.shot("sign-in-phone")
    assert someone.overflow() == []
    someone.size(*DESKTOP)
    someone.shot("sign-in")
    assert "/sign-in?next=/facilities" in someone.chrome.current_url
    someone.write('input[name="username"]', "chen.trader")
    someone.write('input[name="password"]', "not the password")
    someone.click('button[type="submit"]')
    someone.says("User name or password is wrong.")
    someone.write('input[name="password"]', DEMO_PASSWORD)
    someone.click('button[type="submit"]')
    someone.until(lambda: "/sign-in" not in someone.chrome.current_url, "the page that was wanted")
    assert someone.chrome.current_url.endswith("/facilities")
    assert "/events" not in [a.get_attribute("href") for a in someone.chrome.find_elements("css selector", ".nav a")]
    someone.open("/events")
    someone.says("You may not see this page.")


def test_a_session_that_ended_leads_to_the_sign_in(browser: Open) -> None:
    keeper = browser("keeper")
    keeper.sign_in("wang.custody", DEMO_PASSWORD)
    keeper.open("/tanks/tk-101")
    first = keeper.chrome.current_window_handle
    keeper.chrome.switch_to.new_window("tab")
    keeper.open("/")
    keeper.click(keeper.mark("sign-out"))
    keeper.until(lambda: "/sign-in" in keeper.chrome.current_url, "the sign-in page")
    keeper.chrome.switch_to.window(first)  # this tab looks at the tank every other second
    keeper.until(lambda: "/sign-in" in keeper.chrome.current_url, "the sign-in page in the other tab")


def test_keeper_reconciles_and_regulator_reads_the_log(browser: Open) -> None:
    keeper, regulator = browser("keeper"), browser("regulator")
    keeper.sign_in("wang.custody", DEMO_PASSWORD)
    keeper.open("/tanks/tk-101")
    keeper.says("Level by the gauge")
    keeper.says("Book goods in")
    keeper.click(keeper.mark("warehousing.reconcile"))
    keeper.says("Book and sensor agree")
    keeper.shot("keeper-tank")
    regulator.sign_in("gao.regulator", DEMO_PASSWORD)
    regulator.open("/events")
    regulator.says("Reconcile tank")
    regulator.shot("events")
    regulator.open("/ledger")
    regulator.says("Lanzhou Harbour Bank")
    regulator.click('a[href^="/ledger/"]')
    regulator.says("Movements")
    regulator.shot("statement")


def test_an_operation_by_its_form(browser: Open) -> None:
    trader = browser("trader")
    trader.sign_in("ma.trader", DEMO_PASSWORD)
    trader.open("/operations/reference.day")
    trader.write(trader.mark("day"), "2026-10-01")
    trader.click(trader.mark("run"))
    trader.says('"working_day": false')
    trader.shot("operation")


def test_an_open_page_leaves_no_events(browser: Open) -> None:
    """A page that asked for what it may not see would wake itself for ever: each refusal is an event."""
    pages = {"trader": "chen.trader", "keeper": "wang.custody", "approver": "zhao.bank"}
    for name, user_name in pages.items():
        opened = browser(name)
        opened.sign_in(user_name, DEMO_PASSWORD)
        opened.open("/")
        opened.says("book and sensor agree", 60)
    regulator = browser("regulator")
    regulator.sign_in("gao.regulator", DEMO_PASSWORD)
    regulator.open("/events")
    regulator.says("Sign in")
    before = regulator.find("table.t tbody tr").text
    time.sleep(3)
    regulator.open("/events")
    assert regulator.find("table.t tbody tr").text == before
