# SPDX-License-Identifier: Apache-2.0
"""What stands in backticks, emulated and never run: the few programs that scripts use to configure a kernel and to ask it.

A line is read as a shell would: quotes, `\\` at the end of a line, `#`, `;`, `|`, redirections (ignored: nothing is printed), and
$((...)). A shell script that is named by its path is read and emulated in turn. A command, option or sysctl that is not known
here is a DrillError that names it; a pipe into grep fails where grep finds nothing.
"""
from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Final

from linnet.drill.script import DrillError
from linnet.include.linux.in6 import in6_pton
from linnet.include.linux.inet import in_aton
from linnet.include.linux.netdevice import NETIF_F_GSO, NETIF_F_TSO, NetDevice
from linnet.include.net.dst import RTAX_ADVMSS, RTAX_INITCWND, RTAX_INITRWND, RTAX_LOCK, RTAX_MTU, RTAX_QUICKACK, RTAX_RTO_MIN
from linnet.include.net.ip6_fib import Fib6Config
from linnet.include.net.ip_fib import FibConfig
from linnet.include.net.net_namespace import Net
from linnet.kernel.errno import ENOENT
from linnet.kernel.file import O_WRONLY
from linnet.kernel.ramfs import O_CREAT, O_TRUNC
from linnet.net.ipv4.fib_frontend import fib_add_route
from linnet.net.ipv4.proc import nstat_fields
from linnet.net.ipv4.tcp_ipv4_proc import tcp4_seq_show
from linnet.net.ipv4.tcp_metrics import tcp_metrics_flush_all
from linnet.net.ipv6.route import ip6_route_add
from linnet.net.ipv6.tcp_ipv6_proc import tcp6_seq_show
from linnet.net.sched.sch_api import qdisc_create

# Linux's sysctls that Linnet has no use for: taken, and without effect, when they are set to these values.
INERT: Final = {'net.ipv4.tcp_ecn_option': '2'}
PROGRAM_FOLDERS: Final = ('/bin/', '/sbin/', '/usr/bin/', '/usr/sbin/')
RESTORE: Final = re.compile(r'/tmp/sysctl_restore_.*\.sh$')
ARITHMETIC: Final = re.compile(r'\$\(\(([0-9*+\- ]+)\)\)')
MODULE_PARAMETER: Final = re.compile(r'/sys/module/(\w+)/parameters/(\w+)')
MODULE_DEFAULTS: Final = {'tcp_cubic.hystart_detect': '3', 'tcp_cubic.hystart': '1'}  # may be set to what they are
TC_FLAGS: Final = {'pacing': ('pacing', 1), 'nopacing': ('pacing', 0), 'horizon_drop': ('horizon_drop', 1),
                   'horizon_cap': ('horizon_drop', 0)}
TC_UNITS: Final = {'': 1.0, 'bit': 1 / 8, 'kbit': 1e3 / 8, 'mbit': 1e6 / 8, 'gbit': 1e9 / 8, 'bps': 1.0, 'kbps': 1e3, 'mbps': 1e6,
                   's': 1e9, 'ms': 1e6, 'us': 1e3, 'ns': 1.0, 'b': 1.0, 'k': 1024.0, 'kb': 1024.0, 'm': 1048576.0,
                   'mb': 1048576.0}
TC_VALUE: Final = re.compile(r'(\d+)([a-z]*)$')
METRICS: Final = {'advmss': RTAX_ADVMSS, 'mtu': RTAX_MTU, 'initcwnd': RTAX_INITCWND, 'initrwnd': RTAX_INITRWND,
                  'quickack': RTAX_QUICKACK, 'rto_min': RTAX_RTO_MIN}


def tc_options(words: list[str]) -> dict[str, int]:
    """The options of a discipline as sch_api takes them: rates in bytes a second, times in ns, sizes in bytes."""
    options: dict[str, int] = {}
    rest = iter(words)
    for name in rest:
        if name in TC_FLAGS:
            key, value = TC_FLAGS[name]
            options[key] = value
            continue
        match = TC_VALUE.match(next(rest, '').lower())
        if match is None or match[2] not in TC_UNITS:
            raise DrillError(f'tc: what is {name} {words}')
        options[name] = round(int(match[1]) * TC_UNITS[match[2]])
    return options


def split_commands(text: str) -> list[list[str]]:
    """Pipelines as lists of words, '|' between the commands of one; redirections left out."""
    text = ARITHMETIC.sub(lambda m: str(_arithmetic(m[1])), text.replace('\\\n', ' '))
    pipelines: list[list[str]] = []
    for line in text.splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars='|;&<>')
        lexer.whitespace_split = True
        lexer.commenters = ''
        words: list[str] = []
        skip = False
        for word in lexer:
            if word.startswith('#'):
                break
            if skip:
                skip = False
            elif word in (';', '&&'):
                pipelines.append(words)
                words = []
            elif set(word) <= set('<>&') and word != '&':
                if word == '>' and words[:1] == ['echo']:
                    words.append(word)
                    continue
                skip = True
                if words and words[-1] in ('1', '2'):
                    words.pop()
            else:
                words.append(word)
        pipelines.append(words)
    return [words for words in pipelines if words]


def _arithmetic(text: str) -> int:
    total = 0
    for term in text.replace('-', '+-').split('+'):
        product = 1
        for factor in term.split('*'):
            product *= int(factor.replace(' ', '') or 0)
        total += product
    return total


class Commands:
    """The commands of one script, on its host and device."""

    def __init__(self, net: Net, dev: NetDevice, folder: Path) -> None:
        self.net = net
        self.dev = dev
        self.folder = folder
        self.saved: dict[str, str] = {}
        self.counted: dict[str, int] = {}
        self.sourced = 0
        self.warnings: list[str] = []
        self.table: dict[str, Callable[[list[str]], str]] = {
            'sysctl': self.sysctl, 'tc': self.tc, 'ethtool': self.ethtool, 'ip': self.ip, 'nstat': self.nstat, 'echo': self.echo,
            'cat': self.cat, 'sleep': self.true, 'true': self.true, 'set_sysctls.py': self.set_sysctls,
            'rm': self.rm, 'dd': self.dd,
        }

    def run(self, text: str) -> None:
        """Run what stands between the backticks."""
        for words in split_commands(text):
            self.alternatives(words)

    def alternatives(self, words: list[str]) -> None:
        """Pipelines with || between them: the first that succeeds."""
        while '||' in words:
            at = words.index('||')
            try:
                self.pipeline(words[:at])
            except DrillError:
                words = words[at + 1:]
            else:
                return
        self.pipeline(words)

    def pipeline(self, words: list[str]) -> None:
        """One command, or several in a row, each reading what the one before printed."""
        text = ''
        while words:
            end = words.index('|') if '|' in words else len(words)
            command, words = words[:end], words[end + 1:]
            if not command:
                raise DrillError('an empty command in a pipe')
            text = self.grep(command, text) if command[0] == 'grep' else self.command(command)

    def command(self, words: list[str]) -> str:
        """What it prints."""
        name = words[0]
        if RESTORE.match(name):
            for key, value in self.saved.items():
                self.set(key, value)
            self.saved.clear()
            return ''
        path = self.folder / name
        if name.endswith('.sh') and path.is_file():
            self.sourced += 1
            self.run(path.read_text())
            self.sourced -= 1
            return ''
        run = self.table.get(name.rsplit('/', 1)[-1] if name.endswith('.py') or name.startswith(PROGRAM_FOLDERS) else name)
        if run is None:
            raise DrillError(f'unknown command {" ".join(words)!r}')
        return run(words[1:])

    # -- sysctls

    def set(self, name: str, value: str) -> None:
        """Set one sysctl."""
        if INERT.get(name) == value:
            return
        err = self.net.sysctl.set(name, value)
        if err == -ENOENT and self.sourced:
            self.warnings.append(f'no sysctl {name}')  # a shell script goes on, as it does on a kernel without that sysctl
        elif err != 0:
            raise DrillError(f'sysctl {name}={value}: error {err}')

    def sysctl(self, words: list[str]) -> str:
        """sysctl -q name=value ..."""
        ignore = False
        out = []
        for word in words:
            if word.startswith('-'):
                if set(word[1:]) - set('qwen'):
                    raise DrillError(f'unknown option {word!r} of sysctl')
                ignore = ignore or 'e' in word
                continue
            name, equals, value = word.partition('=')
            if not equals:
                out.append(self.net.sysctl.get(name))
            elif not (ignore and self.net.sysctl.find(name) is None):
                self.set(name.replace('/', '.'), value)
        return '\n'.join(out)

    def set_sysctls(self, words: list[str]) -> str:
        """set_sysctls.py /proc/sys/net/ipv4/tcp_timestamps=0 ..., undone by the script that it writes."""
        for word in words:
            path, equals, value = word.partition('=')
            if not equals or not path.startswith('/proc/sys/'):
                raise DrillError(f'set_sysctls.py: {word!r}')
            name = path.removeprefix('/proc/sys/').replace('/', '.')
            if name not in INERT:
                self.saved.setdefault(name, self.net.sysctl.get(name) if self.net.sysctl.find(name) else '')
            self.set(name, value)
        return ''

    def echo(self, words: list[str]) -> str:
        """echo VALUE > FILE, a file under /proc/sys or a parameter of a module that the stack has."""
        if len(words) != 3 or words[1] != '>':
            raise DrillError(f'echo {" ".join(words)!r}')
        value, _, path = words
        if path.startswith('/proc/sys/'):
            self.set(path.removeprefix('/proc/sys/').replace('/', '.'), value)
            return ''
        match = MODULE_PARAMETER.fullmatch(path)
        known = (f'{match[1]}.{match[2]}', f'net.ipv4.{match[1]}_{match[2]}') if match else ()
        for name in known:
            if self.net.sysctl.find(name) is not None:
                self.set(name, value)
                return ''
        if match and MODULE_DEFAULTS.get(f'{match[1]}.{match[2]}') == value:
            return ''
        raise DrillError(f'echo {value} > {path}: no such file')

    def true(self, words: list[str]) -> str:
        """Nothing to do in virtual time."""
        return ''

    def cat(self, words: list[str]) -> str:
        """cat /proc/..."""
        return '\n'.join(self.file(word) for word in words)

    def file(self, path: str) -> str:
        """A file of /proc."""
        if path == '/proc/net/tcp':
            return tcp4_seq_show(self.net)
        if path == '/proc/net/tcp6':
            return tcp6_seq_show(self.net)
        if path.startswith('/proc/sys/'):
            return self.net.sysctl.get(path.removeprefix('/proc/sys/').replace('/', '.'))
        raise DrillError(f'unknown file {path!r}')

    def rm(self, words: list[str]) -> str:
        """rm -f FILE ..., in the host's memory."""
        force = words[:1] == ['-f']
        for path in words[1 if force else 0:]:
            if path.startswith('-'):
                raise DrillError(f'unknown option {path!r} of rm')
            if self.net.fs.unlink(path) != 0 and not force:
                raise DrillError(f'rm {path}: no such file')
        return ''

    def dd(self, words: list[str]) -> str:
        """dd bs=N count=N if=/dev/zero of=FILE status=none: a file of zeros in the host's memory."""
        values = dict(word.split('=', 1) for word in words)
        unknown = set(values) - {'bs', 'count', 'if', 'of', 'status'}
        if unknown or values.get('if') != '/dev/zero' or 'of' not in values or 'count' not in values:
            raise DrillError(f'dd {" ".join(words)}')
        file = self.net.fs.open(values['of'], O_WRONLY | O_CREAT | O_TRUNC)
        if isinstance(file, int):
            raise DrillError(f'dd: {values["of"]}: error {file}')
        file.f_op.write(file, bytes(int(values.get('bs', 512)) * int(values['count'])))
        return ''

    # -- devices, routes, counters

    def tc(self, words: list[str]) -> str:
        """tc qdisc add|replace|delete dev tun0 root [KIND [OPTION VALUE]...]"""
        if len(words) < 5 or words[0] != 'qdisc' or words[2] != 'dev' or words[3] != self.dev.name or words[4] != 'root':
            raise DrillError(f'tc {" ".join(words)}')
        if words[1] in ('delete', 'del'):
            qdisc_create(self.dev, 'pfifo_fast')
            return ''
        if words[1] not in ('add', 'replace', 'change') or len(words) < 6:
            raise DrillError(f'tc {" ".join(words)}')
        try:
            qdisc_create(self.dev, words[5], tc_options(words[6:]))
        except (KeyError, ValueError) as exc:
            raise DrillError(f'tc: {exc.args[0]}') from None
        return ''

    def ethtool(self, words: list[str]) -> str:
        """ethtool -K tun0 tso off gso off"""
        if len(words) < 2 or words[0] != '-K' or words[1] != self.dev.name:
            raise DrillError(f'ethtool {" ".join(words)}')
        bits = {'tso': NETIF_F_TSO, 'gso': NETIF_F_GSO}
        for name, value in zip(words[2::2], words[3::2], strict=True):
            if name not in bits or value not in ('on', 'off'):
                raise DrillError(f'ethtool -K {name} {value}')
            if value == 'off':
                self.dev.features &= ~bits[name]
            elif name == 'gso':
                self.dev.features |= NETIF_F_GSO
            else:
                raise DrillError('ethtool -K tso on: tun0 has no TSO')
        return ''

    def ip(self, words: list[str]) -> str:
        """ip tcp_metrics flush all; ip [-6] route change|replace|add ..."""
        if words[:2] == ['tcp_metrics', 'flush']:
            tcp_metrics_flush_all(self.net)
            return ''
        family, route = ('-6', words[1:]) if words[:1] == ['-6'] else ('-4', words)
        if route[:1] != ['route'] or len(route) < 3 or route[1] not in ('add', 'change', 'replace'):
            raise DrillError(f'ip {" ".join(words)}')
        prefix, _, bits = route[2].partition('/')
        via, oif, metrics = self.route_words(route[3:])
        if family == '-6':
            cfg6 = Fib6Config()
            cfg6.fc_replace = route[1] != 'add'
            cfg6.fc_dst, cfg6.fc_dst_len, cfg6.fc_ifindex, cfg6.fc_mx = in6_pton(prefix), int(bits or 128), oif, metrics
            cfg6.fc_gateway = in6_pton(via) if via else 0
            err = ip6_route_add(self.net, cfg6)
        else:
            cfg = FibConfig()
            cfg.fc_replace = route[1] != 'add'
            cfg.fc_dst, cfg.fc_dst_len, cfg.fc_oif, cfg.fc_mx = in_aton(prefix), int(bits or 32), oif, metrics
            cfg.fc_gw = in_aton(via) if via else 0
            err = fib_add_route(self.net, cfg)
        if err != 0:
            raise DrillError(f'ip {" ".join(words)}: error {err}')
        return ''

    def route_words(self, words: list[str]) -> tuple[str, int, dict[int, int]]:
        """(gateway or '', ifindex or 0, metrics) of what follows a route's destination."""
        via, oif, metrics = '', 0, dict[int, int]()
        while words:
            word, *words = words
            if word == 'via':
                via, *words = words
            elif word == 'dev' and words and words[0] == self.dev.name:
                oif, words = int(self.dev.ifindex), words[1:]
            elif word in METRICS:
                if words and words[0] == 'lock':
                    words = words[1:]
                    metrics[RTAX_LOCK] = metrics.get(RTAX_LOCK, 0) | 1 << METRICS[word]
                value, *words = words
                in_ms = word == 'rto_min' and not value.isdigit()
                metrics[METRICS[word]] = tc_options([word, value])[word] // 1_000_000 if in_ms else int(value)
            else:
                raise DrillError(f'ip route: {word!r}')
        return via, oif, metrics

    def nstat(self, words: list[str]) -> str:
        """nstat: the counters that moved since it was last asked."""
        if words:
            raise DrillError(f'nstat {" ".join(words)}')
        now = dict(nstat_fields(self.net))
        moved = {name: value - self.counted.get(name, 0) for name, value in now.items()}
        self.counted = now
        return '\n'.join(f'{name} {value}' for name, value in moved.items() if value)

    def grep(self, words: list[str], text: str) -> str:
        """grep PATTERN [FILE...]: a DrillError where nothing matches."""
        args = [word for word in words[1:] if not word.startswith('-')]
        if len(args) != len(words) - 1 or not args:
            raise DrillError(f'unknown options in {" ".join(words)!r}')
        if len(args) > 1:
            text = '\n'.join(self.file(name) for name in args[1:])
        found = [line for line in text.splitlines() if re.search(args[0], line)]
        if not found:
            raise DrillError(f'grep {args[0]!r} found nothing')
        return '\n'.join(found)
