"""The `dealign:` block and what stands around it in a YAML."""

from __future__ import annotations

import pytest
import yaml

from axolotl_dealign.args import PRESETS, Dealign, parse
from axolotl_dealign.check import check_file
from axolotl_dealign.config import PLUGIN, check_config, named_in, read_config
from axolotl_dealign.errors import ConfigError
from axolotl_dealign.watch import Watch


def test_no_block_is_the_defaults():
    assert parse(None) == parse({}) == Dealign()
    assert (Dealign().arm, Dealign().cut) == ("dealigned", PRESETS["balanced"])


@pytest.mark.parametrize(
    ("block", "line"),
    [
        ({"treshold": 0.5}, "unknown key `dealign.treshold`, did you mean `threshold`?"),
        ({"arm": "dealign"}, "dealign.arm: unknown `dealign`, did you mean `dealigned`?"),
        ({"arm": "base"}, "dealign.arm: the arm `base` is the untrained model"),
        ({"remove": ["refusals"]}, "dealign.remove.0: unknown `refusals`, did you mean `refusal`?"),
        ({"remove": []}, "dealign.remove: "),
        ({"threshold": 2}, "dealign.threshold: Input should be less than or equal to 1"),
        ({"threshold": 0.5, "preset": "strict"}, "dealign: `threshold` and `preset` say the same thing; keep one"),
        ({"preset": "strickt"}, "dealign.preset: unknown `strickt`, did you mean `strict`?"),
        ({"on_turn": "drop"}, "dealign.on_turn: unknown `drop`"),
        ({"datasets": {"a": {"thresold": 1}}}, "unknown key `dealign.datasets.a.thresold`, did you mean `threshold`?"),
        ("dealigned", "dealign: must be a block of keys, not 'dealigned'"),
    ],
)
def test_a_wrong_block_is_one_line_that_says_where(block, line):
    with pytest.raises(ConfigError) as error:
        parse(block)
    assert line in str(error.value)
    assert "\n" not in str(error.value)


def test_an_override_of_the_threshold_replaces_the_preset():
    settings = parse({"preset": "strict", "datasets": {"a": {"threshold": 0.3}, "b": {"on_turn": "mask"}}})
    assert settings.for_dataset("a").cut == 0.3
    assert settings.for_dataset("b").cut == PRESETS["strict"]
    assert settings.for_dataset("b").on_turn == "mask"
    assert settings.for_dataset("c") is settings


@pytest.mark.parametrize("key", ["dealing", "de_align", "dealigned", "axolotl_dealign", "delign"])
def test_misspelt_blocks_are_found(key):
    with pytest.raises(ConfigError, match=f"unknown key `{key}`, did you mean `dealign`"):
        check_config({"base_model": "x", key: {}})


def test_axolotls_own_keys_are_no_misspellings():
    keys = [
        "base_model",
        "datasets",
        "learning_rate",
        "deepspeed",
        "device_map",
        "dpo_label_smoothing",
        "debug",
        "remap",
    ]
    assert check_config(dict.fromkeys(keys)) == Dealign()


def test_keys_in_the_wrong_place():
    with pytest.raises(ConfigError, match=r"`datasets\[0\].dealign` is not read"):
        check_config({"datasets": [{"path": "a", "dealign": {"arm": "control"}}]})
    with pytest.raises(ConfigError, match=r"no dataset has the path `b.jsonl`, did you mean `a.jsonl`"):
        check_config({"datasets": [{"path": "a.jsonl"}], "dealign": {"datasets": {"b.jsonl": {"threshold": 0.3}}}})


@pytest.mark.parametrize("name", [PLUGIN, "axolotl_dealign:DealignPlugin", "axolotl_dealign.plugin.DealignPlugin"])
def test_every_spelling_of_the_plugin(name):
    assert named_in({"plugins": ["axolotl.integrations.liger.LigerPlugin", name]})


@pytest.mark.parametrize("plugins", [None, [], ["axolotl.integrations.liger.LigerPlugin"], ["axolotl_dealign.Dealign"]])
def test_configs_that_are_not_ours(plugins):
    assert not named_in({"plugins": plugins})


def test_hash_files(tmp_path):
    keep = tmp_path / "keep.txt"
    keep.write_text("# read by hand\n0123456789abcdef  # a poem\n\n")
    watch = Watch.from_settings(Dealign(keep_file=str(keep)))
    assert watch.keep == {"0123456789abcdef"}
    assert watch.fingerprint != Watch.from_settings(Dealign()).fingerprint
    keep.write_text("0123\n")
    with pytest.raises(ConfigError, match=r"keep.txt:1: `0123` is no content hash"):
        Watch.from_settings(Dealign(keep_file=str(keep)))
    with pytest.raises(ConfigError, match="dealign.remove_file: cannot read missing"):
        Watch.from_settings(Dealign(remove_file="missing"))


def test_whatever_changes_the_rows_changes_the_fingerprint_and_nothing_else():
    prints = {
        Watch.from_settings(settings).fingerprint
        for settings in (
            Dealign(),
            Dealign(arm="control"),
            Dealign(arm="control", seed=1),
            Dealign(threshold=0.7),
            Dealign(remove=("hedged",)),
            Dealign(on_turn="truncate"),
            Dealign(datasets={"a": {"threshold": 0.3}}),
        )
    }
    assert len(prints) == 7
    assert Watch.from_settings(Dealign(audit_dir="elsewhere")).fingerprint in prints


def test_files_that_are_no_config(tmp_path):
    with pytest.raises(ConfigError, match="cannot read .*: No such file"):
        read_config(tmp_path / "missing.yml")
    (tmp_path / "bad.yml").write_text("a: [1\n")
    with pytest.raises(ConfigError, match="bad.yml is not valid YAML"):
        read_config(tmp_path / "bad.yml")
    (tmp_path / "list.yml").write_text("- a\n")
    with pytest.raises(ConfigError, match="list.yml is not an Axolotl config"):
        read_config(tmp_path / "list.yml")


def test_check_without_the_plugin_line(tmp_path):
    path = tmp_path / "config.yml"
    path.write_text(yaml.safe_dump({"base_model": "x", "dealign": {"arm": "control"}}))
    with pytest.raises(ConfigError, match="the plugin line is missing .*alone changes nothing"):
        check_file(path)
