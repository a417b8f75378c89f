"""Data sets with sensitive features: loaders of real ones, generators of made-up ones."""

from skfair.datasets._adult import fetch_adult
from skfair.datasets._bank_marketing import fetch_bank_marketing
from skfair.datasets._biased_classification import make_biased_classification
from skfair.datasets._celeba import fetch_celeba
from skfair.datasets._civil_comments import fetch_civil_comments
from skfair.datasets._colored_digits import make_colored_digits
from skfair.datasets._compas import fetch_compas
from skfair.datasets._credit_default import fetch_credit_default
from skfair.datasets._fairface import fetch_fairface
from skfair.datasets._fetch import ChecksumError, DatasetUnavailableError, get_data_home
from skfair.datasets._german_credit import fetch_german_credit
from skfair.datasets._hatexplain import fetch_hatexplain
from skfair.datasets._meps import fetch_meps
from skfair.datasets._multinli import fetch_multinli
from skfair.datasets._snli import fetch_snli
from skfair.datasets._south_german_credit import fetch_south_german_credit
from skfair.datasets._utkface import fetch_utkface

__all__ = [
    "ChecksumError",
    "DatasetUnavailableError",
    "fetch_adult",
    "fetch_bank_marketing",
    "fetch_celeba",
    "fetch_civil_comments",
    "fetch_compas",
    "fetch_credit_default",
    "fetch_fairface",
    "fetch_german_credit",
    "fetch_hatexplain",
    "fetch_meps",
    "fetch_multinli",
    "fetch_snli",
    "fetch_south_german_credit",
    "fetch_utkface",
    "get_data_home",
    "make_biased_classification",
    "make_colored_digits",
]
