"""Price series and imported calendars on both databases, and the packaged Brent prices."""

from datetime import date
from fractions import Fraction
from itertools import pairwise

import pytest

from entrepot.kernel.database import Database
from entrepot.kernel.operations import Invalid, NotFound
from entrepot.kernel.reference import Reference, Series, YearNotice
from entrepot.kernel.reference.brent import BRENT_CNY, brent_usd_per_barrel, brent_yuan_per_tonne, yuan_per_tonne
from tests.kernel.services import Desk, local

COPPER = Series("copper", "Copper cathode", "电解铜", "CNY", "t", "", "desk", stale_days=5, jump_limit_bp=1_000)


@pytest.fixture
def desk(database: Database) -> Desk:
    desk = Desk(database)
    with desk.write() as scope:
        Reference(scope).define_series(COPPER)
    return desk


def test_the_last_price_on_or_before_a_day(desk):
    with desk.write() as scope:
        reference = Reference(scope)
        assert reference.set_prices("copper", [(date(2008, 6, 24), 6_000_000), (date(2008, 6, 27), 6_100_000)]) == 2
        assert reference.price("copper").value == 6_100_000  # seen before the commit
    with desk.read() as scope:
        reference = Reference(scope)
        point = reference.price("copper")
        assert (point.day, point.stale_days, point.currency, point.proxy) == (date(2008, 6, 27), 4, "CNY", "")
        assert reference.price("copper", date(2008, 6, 26)).value == 6_000_000
        assert point.value_of(Fraction("1.5"), "kg") == 9_150
        with pytest.raises(Invalid):
            point.value_of(1, "bbl")
        with pytest.raises(NotFound):
            reference.price("copper", date(2008, 6, 23))
        with pytest.raises(Invalid) as stale:
            reference.price("copper", date(2008, 7, 3))
        assert stale.value.code == "price/stale"
        assert reference.price("copper", date(2008, 7, 3), allow_stale=True).stale_days == 6
        assert reference.history("copper", date(2008, 6, 25), date(2008, 6, 30)) == [(date(2008, 6, 27), 6_100_000)]


@pytest.mark.parametrize(
    ("points", "code"),
    [
        ([(date(2008, 6, 27), 6_700_000)], "price/jump"),
        ([(date(2008, 6, 27), 5_300_000)], "price/jump"),
        ([(date(2008, 6, 26), 6_500_000), (date(2008, 6, 27), 5_500_000)], "price/jump"),
        ([(date(2008, 7, 2), 6_000_000)], "price/future"),
        ([(date(2008, 6, 27), 0)], "price/not-positive"),
    ],
)
def test_absurd_prices_are_refused(desk, points, code):
    with desk.write() as scope:
        Reference(scope).set_prices("copper", [(date(2008, 6, 24), 6_000_000)])
    with desk.write() as scope, pytest.raises(Invalid) as refused:
        Reference(scope).set_prices("copper", points)
    assert refused.value.code == code
    if code == "price/jump":
        with desk.write() as scope:
            assert Reference(scope).set_prices("copper", points, confirm_jump=True) == len(points)


def test_an_unknown_series_is_refused(desk):
    with desk.write() as scope, pytest.raises(NotFound):
        Reference(scope).set_prices("tin", [(date(2008, 6, 24), 1)])


def test_tenants_do_not_share_prices(desk, database):
    other = Desk(database, tenant="xining")
    with other.read() as scope, pytest.raises(NotFound):
        Reference(scope).price("copper")


def test_an_imported_notice_holds_at_once_and_for_other_processes(desk, database, database_url):
    from entrepot.kernel.database import open_database

    desk.move_to("2026-12-31 16:00")
    with desk.write() as scope:
        reference = Reference(scope)
        with pytest.raises(Invalid):
            reference.working_deadline(scope.now, hours=2)
        notice = YearNotice(2027, frozenset({date(2027, 1, 1)}), frozenset({date(2027, 1, 2)}), "No. 1")
        reference.import_notice(notice)
        assert reference.working_deadline(scope.now, hours=2) == local("2027-01-02 10:00")
        assert reference.calendar("exchange").following(date(2026, 12, 31)) == date(2027, 1, 4)
        with pytest.raises(Invalid):
            reference.calendar("lunar")
    again = open_database(database_url, durable=False)
    try:
        with Desk(again).write() as scope:
            assert Reference(scope).calendar().is_open(date(2027, 1, 2))
            assert Reference(scope).calendar("legal") is Reference(scope).calendar("legal")
    finally:
        again.close()


def test_a_refused_import_leaves_no_trace(desk):
    with desk.database.unit() as uow:
        uow.begin_operation()
        Reference(desk.scope(uow)).import_notice(YearNotice(2027, frozenset({date(2027, 1, 1)}), frozenset()))
        uow.refuse_operation()
        uow.begin_operation()
        with pytest.raises(Invalid):
            Reference(desk.scope(uow)).calendar().is_open(date(2027, 1, 1))


class TestBrent:
    """EIA series RBRTE (Europe Brent spot FOB, dollars per barrel), the published closing figures."""

    @pytest.mark.parametrize(
        ("day", "cents"),
        [("2008-07-03", 14_395), ("2008-12-26", 3_373), ("1987-05-20", 1_863), ("2019-08-26", 5_864)],
    )
    def test_published_days(self, day, cents):
        assert brent_usd_per_barrel()[date.fromisoformat(day)] == cents

    def test_the_crash_is_whole(self):
        prices = brent_yuan_per_tonne(date(2008, 7, 1), date(2009, 3, 31))
        assert len(prices) == 189
        assert max(prices, key=lambda p: p[1])[0] == date(2008, 7, 3)
        assert min(value for _, value in prices) < max(value for _, value in prices) / 4
        assert max((b[0] - a[0]).days for a, b in pairwise(prices)) <= 5

    def test_conversion(self):
        """143.95 $/bbl × 6.9487 CNY/$ × (1000/835/0.158987294928 bbl/t) = 7,534.71 CNY/t."""
        assert yuan_per_tonne(14_395, 2008) == 753_471
        assert abs(143.95 * 6.9487 / 0.835 / 0.158987294928 - 7534.71) < 0.01
        with pytest.raises(Invalid):
            yuan_per_tonne(10_000, 1990)

    def test_the_series_takes_its_own_history(self, desk):
        desk.move_to("2009-04-01 10:00")
        with desk.write() as scope:
            reference = Reference(scope)
            reference.define_series(BRENT_CNY)
            history = brent_yuan_per_tonne(date(2008, 7, 1), date(2009, 3, 31))
            reference.set_prices(BRENT_CNY.id, history)
            point = reference.price(BRENT_CNY.id)
            assert point.proxy
            assert (point.currency, point.unit, point.day) == ("CNY", "t", date(2009, 3, 31))
            assert reference.price(BRENT_CNY.id, date(2008, 12, 28)).day == date(2008, 12, 26)
