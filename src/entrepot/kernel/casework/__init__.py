"""Cases: types as data, steps, deadlines in working time, history."""

from entrepot.kernel.casework.service import Case, Cases, Entry
from entrepot.kernel.casework.types import Action, CaseType, case_type, define

__all__ = ["Action", "Case", "CaseType", "Cases", "Entry", "case_type", "define"]
