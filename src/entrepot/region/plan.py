"""Who and what the demo region has. All invented; the credit codes are well formed and belong to nobody we know."""

from dataclasses import dataclass

TANK = "tk-101"
DEVICE = "dev_gauge101"
DEMO_PASSWORD = "lanzhou-demo-2026"  # noqa: S105 - shown on the sign-in page of the demo
# An upright cylinder of 40 m diameter and 16 m: 1,256.637 litres a millimetre, in steps of a metre.
STRAPPING = [(level, round(level * 1256.637)) for level in range(0, 16_001, 1_000)]


@dataclass(frozen=True, slots=True)
class Firm:
    """An organisation: its credit code without the check character."""

    id: str
    code: str
    name: str
    name_zh: str
    kind: str


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who signs in; `roles` are held for the one organisation."""

    id: str
    user_name: str
    name: str
    organisation: str
    roles: tuple[str, ...]


FIRMS = (
    Firm("org_lanbank", "91620100MA72BK001", "Lanzhou Harbour Bank", "兰港银行", "bank"),
    Firm("org_xibank", "91620100MA72BK002", "Western Route Bank", "西线银行", "bank"),
    Firm("org_huanghe", "91620100MA71TR001", "Huanghe Energy Trading", "黄河能源贸易", "trader"),
    Firm("org_silu", "91620100MA71TR002", "Silk Road Materials", "丝路物资", "trader"),
    Firm("org_cangchu", "91620100MA73CU001", "Lanzhou Public Storage", "兰州公共仓储", "custodian"),
    Firm("org_exchange", "91620100MA74EX001", "Gansu Commodity Exchange", "甘肃大宗商品交易中心", "other"),
    Firm("org_jianguan", "11620000MB1386247", "Gansu Financial Supervision", "甘肃金融监管局", "regulator"),
    Firm("org_huozhan", "91620100MA75EN001", "Entrepot Operations", "货栈运营", "operator"),
)

PEOPLE = (
    Person("per_chen", "chen.trader", "Chen Yu", "org_huanghe", ("trader",)),
    Person("per_ma", "ma.trader", "Ma Lin", "org_silu", ("trader",)),
    Person("per_li", "li.bank", "Li Na", "org_lanbank", ("bank_clerk",)),
    Person("per_zhao", "zhao.bank", "Zhao Jun", "org_lanbank", ("bank_approver",)),
    Person("per_sun", "sun.bank", "Sun Hao", "org_xibank", ("bank_clerk",)),
    Person("per_wang", "wang.custody", "Wang Lei", "org_cangchu", ("custodian",)),
    Person("per_gao", "gao.regulator", "Gao Min", "org_jianguan", ("regulator",)),
    Person("per_he", "he.prices", "He Fang", "org_huozhan", ("price_clerk",)),
    Person("per_tian", "tian.system", "Tian Bo", "org_huozhan", ("system_admin",)),
    Person("per_bai", "bai.security", "Bai Xue", "org_huozhan", ("security_admin",)),
    Person("per_ye", "ye.audit", "Ye Qing", "org_huozhan", ("audit_admin",)),
)


def person(person_id: str) -> Person:
    """One of the people; KeyError for nobody."""
    return {p.id: p for p in PEOPLE}[person_id]
