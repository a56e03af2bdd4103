"""The deployment files, read with the libraries container engines use, and held against the code they start."""

import hashlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.local.postgres import BASE_SETTINGS, DURABLE_SETTINGS
from infra.local.temporal import DYNAMIC_CONFIG
from infra.local.temporal_binary import cache_folder
from infra.settings import Settings

PROJECT = Path(__file__).resolve().parents[2]
COMPOSE_FILE = PROJECT / "docker-compose.yml"
CHECK_SOURCE = PROJECT / "infra" / "deploy" / "check"
BUILD_TIMEOUT_S = 300
PACKAGES = {"domain", "activities", "workflows", "infra", "api", "workers"}

Service = dict[str, Any]


@pytest.fixture(scope="session")
def check() -> Path:
    """The program in infra/deploy/check, built once for each version of its source."""
    go = shutil.which("go")
    if go is None:
        pytest.skip("the compose file is read by a Go library, and there is no Go here")
    source = b"".join(path.read_bytes() for path in sorted(CHECK_SOURCE.iterdir()))
    target = cache_folder(PROJECT / ".clearhold") / f"deploy-check-{hashlib.sha256(source).hexdigest()[:16]}"
    if not target.exists():
        unfinished = target.with_name(f"{target.name}.{os.getpid()}")
        subprocess.run([go, "build", "-o", str(unfinished), "."], cwd=CHECK_SOURCE, check=True, timeout=BUILD_TIMEOUT_S)
        unfinished.rename(target)
    return target


def _read(check: Path, *arguments: str) -> Any:
    answer = subprocess.run([str(check), *arguments], capture_output=True, text=True, timeout=60, check=False)
    assert answer.returncode == 0, answer.stderr
    return json.loads(answer.stdout)


def _filled_in(folder: Path) -> Path:
    """The example of the environment, with a password in each place that needs one."""
    path = folder / ".env"
    example = (PROJECT / "infra" / "deploy" / "env.example").read_text()
    path.write_text(re.sub(r"^(\w+PASSWORD)=$", r"\1=secret", example, flags=re.MULTILINE))
    return path


@pytest.fixture(scope="session")
def services(check: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Service]:
    """The services as an engine sees them: interpolated, normalized, consistent."""
    environment = _filled_in(tmp_path_factory.mktemp("compose"))
    found: dict[str, Service] = _read(check, "compose", str(COMPOSE_FILE), str(environment))["services"]
    return found


def _one_shots(services: dict[str, Service]) -> set[str]:
    return {
        name
        for service in services.values()
        for name, dependency in (service.get("depends_on") or {}).items()
        if dependency["condition"] == "service_completed_successfully"
    }


@pytest.mark.parametrize(
    ("written", "mistaken"),
    [
        ("healthcheck:", "healthchek:"),
        ("networks: [backend]", "networks: [backed]"),
        ("migrate: { condition: service_completed_successfully }", "migrat: { condition: service_started }"),
        ("memory: 2g", "memory: lots"),
    ],
)
def test_the_validator_refuses_a_file_with_a_mistake(check: Path, tmp_path: Path, written: str, mistaken: str) -> None:
    text = COMPOSE_FILE.read_text()
    assert written in text
    broken = tmp_path / "docker-compose.yml"
    broken.write_text(text.replace(written, mistaken))
    environment = _filled_in(tmp_path)
    answer = subprocess.run(
        [str(check), "compose", str(broken), str(environment)], capture_output=True, timeout=60, check=False
    )
    assert answer.returncode == 1


def test_nothing_starts_without_passwords(check: Path) -> None:
    example = PROJECT / "infra" / "deploy" / "env.example"
    answer = subprocess.run(
        [str(check), "compose", str(COMPOSE_FILE), str(example)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert answer.returncode == 1
    for name in ("POSTGRES_PASSWORD", "CLEARHOLD_OWNER_PASSWORD", "CLEARHOLD_APP_PASSWORD", "TEMPORAL_PASSWORD"):
        assert f"required variable {name} is missing a value" in answer.stderr


def test_every_part_of_the_production_shape_is_there(services: dict[str, Service]) -> None:
    assert set(services) == {
        "postgres", "temporal-schema", "temporal", "temporal-namespace", "temporal-ui",
        "migrate", "bank", "worker", "api",
    }  # fmt: skip
    assert _one_shots(services) == {"temporal-schema", "temporal-namespace", "migrate"}


def test_every_lasting_service_has_a_health_check_and_every_one_has_bounds(
    services: dict[str, Service],
) -> None:
    for name, service in services.items():
        limits = service["deploy"]["resources"]["limits"]
        assert {"cpus", "memory", "pids"} <= set(limits), name
        assert name in _one_shots(services) or service["healthcheck"]["test"], name
        assert service["logging"]["options"]["max-size"], name


def test_every_image_is_pinned_to_a_release_and_none_is_the_deprecated_auto_setup(
    services: dict[str, Service],
) -> None:
    for name, service in services.items():
        assert re.fullmatch(r"[a-z/-]+:\d+\.\d+(\.\d+)?", service["image"]), name
        assert "auto-setup" not in service["image"]
    assert services["postgres"]["image"].startswith("postgres:18.")
    assert services["temporal"]["image"].rsplit(":")[1] == services["temporal-schema"]["image"].rsplit(":")[1]


def test_only_the_api_and_the_ui_can_be_reached_and_only_from_this_host(services: dict[str, Service]) -> None:
    published = {name: service["ports"] for name, service in services.items() if service.get("ports")}
    assert set(published) == {"api", "temporal-ui"}
    for ports in published.values():
        assert [port["host_ip"] for port in ports] == ["127.0.0.1"]


def test_every_command_of_ours_is_a_module_that_can_be_run(services: dict[str, Service]) -> None:
    ours = [service for service in services.values() if service["image"].startswith("clearhold:")]
    commands = [service["command"] for service in ours]
    commands += [service["healthcheck"]["test"][1:] for service in ours if service.get("healthcheck")]
    assert len(commands) == 8
    for command in commands:
        assert command[:2] == ["python", "-m"]
        spec = importlib.util.find_spec(command[2])
        assert spec is not None, command
        assert spec.origin is not None
        if spec.submodule_search_locations:
            assert Path(spec.origin).with_name("__main__.py").exists(), command
        else:
            assert 'if __name__ == "__main__":' in Path(spec.origin).read_text(), command


def test_every_variable_of_ours_is_a_setting_that_accepts_its_value(services: dict[str, Service]) -> None:
    for name, service in services.items():
        if not service["image"].startswith("clearhold:"):
            continue
        given = {key: value for key, value in (service.get("environment") or {}).items() if value}
        values = {key.removeprefix("CLEARHOLD_").lower(): value for key, value in given.items()}
        assert set(values) <= set(Settings.model_fields), name
        Settings(_env_file=None, **values)


def test_api_and_worker_are_told_the_same_about_everything_they_share(services: dict[str, Service]) -> None:
    api, worker = services["api"]["environment"], services["worker"]["environment"]
    shared = set(api) & set(worker)
    assert {name: api[name] for name in shared} == {name: worker[name] for name in shared}
    assert all(name.startswith("CLEARHOLD_API_") for name in set(api) - shared)
    assert all(name.startswith("CLEARHOLD_WORKER_") for name in set(worker) - shared)


def test_services_call_each_other_at_names_and_ports_that_exist(services: dict[str, Service]) -> None:
    api, bank = services["api"]["environment"], services["bank"]["command"]
    assert api["CLEARHOLD_BANK_URL"] == f"http://bank:{bank[bank.index('--port') + 1]}"
    for name in ("temporal-namespace", "api", "worker"):
        assert services[name]["environment"]["CLEARHOLD_TEMPORAL_ADDRESS"] == "temporal:7233"
        assert services[name]["environment"]["CLEARHOLD_TEMPORAL_NAMESPACE"] == "clearhold"
    for name in ("CLEARHOLD_DATABASE_URL", "CLEARHOLD_OWNER_DATABASE_URL"):
        service = "migrate" if "OWNER" in name else "api"
        assert services[service]["environment"][name].endswith("@postgres:5432/clearhold")


def test_the_owner_of_the_schema_is_known_to_the_migrations_only(services: dict[str, Service]) -> None:
    knowing = {
        name
        for name, service in services.items()
        if any("clearhold_owner:" in str(value) for value in (service.get("environment") or {}).values())
    }
    assert knowing == {"migrate"}


def test_no_container_holds_a_privilege_it_does_not_need(services: dict[str, Service]) -> None:
    for name, service in services.items():
        assert "no-new-privileges:true" in service["security_opt"], name
        assert not service.get("privileged"), name
        assert service["cap_drop"] == ["ALL"], name
        if service["image"].startswith("clearhold:"):
            assert service["read_only"] is True
    assert {name for name, service in services.items() if service.get("cap_add")} == {"postgres"}
    assert "SYS_ADMIN" not in services["postgres"]["cap_add"]


def test_what_a_container_writes_outside_of_its_volumes_is_bounded(services: dict[str, Service]) -> None:
    for name, service in services.items():
        for mounted in service.get("tmpfs") or []:
            assert re.fullmatch(r"/tmp:size=\d+m,mode=1777", mounted), name  # noqa: S108 - a container's own


def test_a_worker_shows_its_metrics_within_the_network_and_nowhere_else(services: dict[str, Service]) -> None:
    worker = services["worker"]
    settings = worker["environment"]
    assert settings["CLEARHOLD_WORKER_HOST"] == "0.0.0.0"  # noqa: S104 - of its container
    assert worker["expose"] == [settings["CLEARHOLD_WORKER_METRICS_PORT"]] != [settings["CLEARHOLD_WORKER_HEALTH_PORT"]]
    assert not worker.get("ports")
    assert list(worker["networks"]) == ["backend"]
    probed = worker["healthcheck"]["test"][-1]
    assert probed == f"http://127.0.0.1:{settings['CLEARHOLD_WORKER_HEALTH_PORT']}/readyz"


def test_a_container_told_to_stop_gets_longer_than_its_process_takes(services: dict[str, Service]) -> None:
    for name, setting in (("worker", "worker_shutdown_grace_s"), ("api", "api_shutdown_grace_s")):
        service = services[name]
        default = Settings.model_fields[setting].default
        grace_s = float(service["environment"].get(f"CLEARHOLD_{setting.upper()}", default))
        allowed = re.fullmatch(r"(\d+)s", service["stop_grace_period"])
        assert allowed is not None
        assert grace_s + 5 <= int(allowed[1]), name


def test_every_file_that_is_mounted_exists(services: dict[str, Service]) -> None:
    sources = [
        Path(volume["source"])
        for service in services.values()
        for volume in service.get("volumes") or []
        if volume["type"] == "bind"
    ]
    assert len(sources) == 3
    assert all(path.is_file() for path in sources)


def test_postgresql_is_as_safe_and_set_up_as_in_the_embedded_stack(services: dict[str, Service]) -> None:
    options = dict(option.removeprefix("--").split("=", 1) for option in services["postgres"]["command"][1:])
    for name in ("fsync", "synchronous_commit", "full_page_writes"):
        assert options[name] == DURABLE_SETTINGS[name] == "on"
    for name in ("jit", "timezone", "shared_preload_libraries", "idle_in_transaction_session_timeout"):
        assert options[name] == BASE_SETTINGS[name]


def test_connections_are_enough_for_everybody_at_their_bounds(services: dict[str, Service]) -> None:
    options = dict(option.removeprefix("--").split("=", 1) for option in services["postgres"]["command"][1:])
    temporal = services["temporal"]["environment"]
    temporal_services = 4  # frontend, history, matching and worker each keep pools of their own
    wanted = temporal_services * (int(temporal["SQL_MAX_CONNS"]) + int(temporal["SQL_VIS_MAX_CONNS"]))
    ours = int(services["worker"]["deploy"]["replicas"]) + 1
    wanted += ours * 2 * Settings.model_fields["database_pool_max"].default
    assert wanted < int(options["max_connections"])


def test_temporal_runs_with_the_settings_of_the_development_server() -> None:
    production = yaml.safe_load((PROJECT / "infra" / "deploy" / "temporal" / "dynamic-config.yaml").read_text())
    written = {key: str(entries[0]["value"]).lower() for key, entries in production.items()}  # YAML has its own true
    assert written == dict(DYNAMIC_CONFIG)


def test_the_image_is_built_in_stages_from_pinned_packages_and_runs_as_nobody_in_particular(check: Path) -> None:
    packages, runtime = _read(check, "dockerfile", str(PROJECT / "Dockerfile"))
    assert any("--require-hashes" in line and "--only-binary :all:" in line for line in packages["instructions"])
    users = [line for line in runtime["instructions"] if line.startswith("USER ")]
    assert users == ["USER 10001:10001"]
    for stage in (packages, runtime):
        assert re.fullmatch(r"python:3\.\d+\.\d+-slim-\w+", stage["base"])
    copied = {line.split()[1] for line in runtime["instructions"] if line.startswith("COPY ") and "--from" not in line}
    assert copied == PACKAGES
    assert all((PROJECT / name).is_dir() for name in copied)


def test_nothing_but_the_code_reaches_the_build() -> None:
    lines = [line for line in (PROJECT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    assert lines[0] == "*"
    allowed = {line.removeprefix("!") for line in lines if line.startswith("!")}
    assert allowed == PACKAGES | {"requirements/runtime.txt"}
