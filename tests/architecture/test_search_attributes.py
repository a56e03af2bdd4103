"""Search attributes are declared where workflows set them and registered where namespaces are prepared: both agree."""

from collections import Counter

from temporalio.api.enums.v1 import IndexedValueType
from temporalio.common import SearchAttributeKey

from infra.temporal_namespace import SEARCH_ATTRIBUTES
from workflows import visibility

ROOM_ON_SQL_VISIBILITY = {"Keyword": 10, "Int": 3, "Bool": 3, "Datetime": 3}


def test_every_attribute_a_workflow_sets_is_registered_with_its_type() -> None:
    keys = [value for value in vars(visibility).values() if isinstance(value, SearchAttributeKey)]
    assert keys
    for key in keys:
        expected = f"INDEXED_VALUE_TYPE_{SEARCH_ATTRIBUTES[key.name].upper()}"
        assert IndexedValueType.Name(int(key.indexed_value_type)) == expected, key.name


def test_all_attributes_fit_into_a_namespace_on_sql_visibility() -> None:
    wanted = Counter(SEARCH_ATTRIBUTES.values())
    assert all(count <= ROOM_ON_SQL_VISIBILITY[kind] for kind, count in wanted.items())
