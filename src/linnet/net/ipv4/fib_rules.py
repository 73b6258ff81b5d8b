# SPDX-License-Identifier: Apache-2.0
"""Policy routing: rules, in order of preference, say which table is asked.

A Net starts without rules: the merged table of local and main answers. The first rule that is added brings the three standard
ones with it (0: local, 32766: main, 32767: default) and parts local from main, as in Linux; from then on each look-up walks the
rules, and a table that has no route (or a throw route) passes the question on.
"""
from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from linnet.include.linux.inet import in_ntoa
from linnet.include.net.flow import Flowi4
from linnet.include.net.ip_fib import RT_TABLE_DEFAULT, RT_TABLE_LOCAL, RT_TABLE_MAIN, FibResult, FibRule
from linnet.include.net.net_namespace import Net
from linnet.kernel.errno import EAGAIN, EEXIST, ENETUNREACH, ENOENT
from linnet.net.ipv4.fib_trie import fib_get_table, fib_new_table, fib_table_lookup, fib_trie_unmerge

FR_PREF_MAIN: Final = 32766
FR_PREF_DEFAULT: Final = 32767


def fib_lookup(net: Net, flp: Flowi4, res: FibResult, flags: i64) -> i64:
    """Find flp's route over all tables: 0 and res filled, or a negative errno (-ENETUNREACH: there is none).

    Linux: include/net/ip_fib.h; with rules, __fib_lookup in net/ipv4/fib_rules.c.
    """
    ipv4 = net.ipv4
    if ipv4.fib_rules:
        return __fib_lookup(net, flp, res, flags)
    tb = ipv4.fib_main
    if tb is None:
        return -ENETUNREACH
    err = fib_table_lookup(tb, flp, res, flags, net)
    if err == 0:
        return 0
    if err == -EAGAIN:
        tb = ipv4.fib_tables.get(RT_TABLE_DEFAULT)
        if tb is not None:
            err = fib_table_lookup(tb, flp, res, flags, net)
    return -ENETUNREACH if err == -EAGAIN else err


def __fib_lookup(net: Net, flp: Flowi4, res: FibResult, flags: i64) -> i64:
    """The same by rules.  Linux: net/ipv4/fib_rules.c."""
    for rule in net.ipv4.fib_rules:
        if not rule.match(flp):
            continue
        tb = net.ipv4.fib_tables.get(rule.table)
        if tb is None:
            continue
        err = fib_table_lookup(tb, flp, res, flags, net)
        if err != -EAGAIN:
            return err
    return -ENETUNREACH


def fib_unmerge(net: Net) -> None:
    """Part table local from main.  Linux: net/ipv4/fib_frontend.c."""
    main = fib_new_table(net, RT_TABLE_MAIN)
    local = fib_new_table(net, RT_TABLE_LOCAL)
    fib_trie_unmerge(main, local)


def standard_rules() -> list[FibRule]:
    """Local, main and default.  Linux: fib_default_rules_init, net/ipv4/fib_rules.c."""
    return [FibRule(0, RT_TABLE_LOCAL), FibRule(FR_PREF_MAIN, RT_TABLE_MAIN), FibRule(FR_PREF_DEFAULT, RT_TABLE_DEFAULT)]


def rule_pref(rule: FibRule) -> int:
    """The order of rules."""
    return rule.pref


def fib_rule_add(net: Net, rule: FibRule) -> int:
    """`ip rule add`: 0 or -EEXIST. pref 0 takes the place before the first rule but local's.

    Linux: fib4_rule_configure, net/ipv4/fib_rules.c.
    """
    rules = net.ipv4.fib_rules
    if not rules:
        fib_unmerge(net)
        rules.extend(standard_rules())
    if rule.pref == 0:
        rule.pref = rules[1].pref - 1 if len(rules) > 1 else FR_PREF_MAIN - 1
    for old in rules:
        if fib_rule_text(old) == fib_rule_text(rule):
            return -EEXIST
    rules.append(rule)
    rules.sort(key=rule_pref)
    fib_new_table(net, rule.table)
    net.ipv4.rt_genid += 1
    return 0


def fib_rule_del(net: Net, pref: int) -> int:
    """`ip rule del pref N`: 0 or -ENOENT.  Linux: fib4_rule_delete, net/ipv4/fib_rules.c."""
    for rule in net.ipv4.fib_rules:
        if rule.pref == pref:
            net.ipv4.fib_rules.remove(rule)
            net.ipv4.rt_genid += 1
            return 0
    return -ENOENT


def fib_table_name(tb_id: int) -> str:
    """'main' of 254."""
    if tb_id == RT_TABLE_LOCAL:
        return 'local'
    if tb_id == RT_TABLE_MAIN:
        return 'main'
    if tb_id == RT_TABLE_DEFAULT:
        return 'default'
    return str(tb_id)


def fib_rule_text(rule: FibRule) -> str:
    """One line of `ip rule`."""
    text = f'{rule.pref}:\tfrom '
    if rule.src_len == 0:
        text += 'all'
    else:
        text += in_ntoa(int(rule.src)) + ('' if rule.src_len == 32 else f'/{rule.src_len}')
    if rule.dst_len != 0:
        text += f' to {in_ntoa(int(rule.dst))}' + ('' if rule.dst_len == 32 else f'/{rule.dst_len}')
    if rule.mark != 0:
        text += f' fwmark {int(rule.mark):#x}'
    if rule.iifindex != 0:
        text += f' iif {rule.iifindex}'
    if rule.oifindex != 0:
        text += f' oif {rule.oifindex}'
    return f'{text} lookup {fib_table_name(rule.table)}'


def fib_rules_dump(net: Net) -> str:
    """The text of `ip rule`."""
    rules = net.ipv4.fib_rules or standard_rules()
    return ''.join(fib_rule_text(rule) + '\n' for rule in rules)


def fib4_rules_init(net: Net) -> None:
    """Make tables main and local.  Linux: net/ipv4/fib_rules.c; the rules come with the first that is added."""
    fib_new_table(net, RT_TABLE_MAIN)
    fib_new_table(net, RT_TABLE_LOCAL)
    assert fib_get_table(net, RT_TABLE_MAIN) is not None
