# SPDX-License-Identifier: Apache-2.0
"""packetdrill's language for lark (LALR): options, then events, each a time and what happens then.

Words are words until the parser's state makes them keywords, so that `ack` may be a keyword in a packet and a name elsewhere.
A `=` stands in three places (a struct's field, a call's result, an option's value); the contextual lexer keeps them apart.
"""
from __future__ import annotations

from typing import Final

GRAMMAR: Final = r'''
script: option* command? event* command?

option: OPTION
event: time action
?time: "+" number                     -> relative
     | number                         -> absolute
     | "*"                            -> any_time
     | number "~" number              -> absolute_range
     | "+" number "~" "+" number      -> relative_range
number: FLOAT | INT
?action: packet | syscall | command | code
command: COMMAND
code: CODE

syscall: [ELLIPSIS number] WORD "(" [expr ("," expr)*] ")" "=" result [WORD] [NOTE]
result: INT | HEX | WORD | ELLIPSIS

?expr: alternatives
     | alternatives "=" expr          -> assign
?alternatives: atom ("|" atom)*
?atom: INT                            -> integer
     | HEX                            -> hexadecimal
     | WORD                           -> name
     | STRING ELLIPSIS?               -> string
     | ELLIPSIS                       -> ellipsis
     | WORD "(" [expr ("," expr)*] ")" -> call
     | "[" [expr ("," expr)*] "]"     -> array
     | "{" expr ("," expr)* "}"       -> struct

packet: direction [ip_info] (tcp | icmp | udp)
direction: "<"                        -> inbound
         | ">"                        -> outbound
ip_info: "[" ip_field ("," ip_field)* "]"
       | "(" ip_field ("," ip_field)* ")"
ip_field: ECN                         -> ecn
        | "tos" HEX                   -> tos
        | "ttl" INT                   -> ttl
tcp: [ports] flags seq [ack] [win] [urg] [tcp_options]
ports: INT ">" INT
flags: WORD? DOT | WORD | DASH
seq: INT ":" INT "(" INT ")"
ack: "ack" INT
win: "win" INT
urg: "urg" INT
tcp_options: "<" ELLIPSIS ">"         -> any_options
           | "<" tcp_option ("," tcp_option)* ">"
?tcp_option: "nop"                    -> nop
           | "eol"                    -> eol
           | "mss" INT                -> mss
           | "wscale" INT             -> wscale
           | "sackOK"                 -> sackok
           | "sack" block+            -> sack
           | "TS" "val" INT "ecr" INT -> timestamp
           | "FO" blob?               -> fastopen
           | "FOEXP" blob?            -> fastopen_exp
           | "md5" blob               -> md5
block: INT ":" INT
blob: WORD | INT | HEX
udp: "udp" [ports] "(" INT ")"
icmp: "icmp" WORD [WORD] [mtu] [echoed]
mtu: "mtu" INT
echoed: "[" INT ":" INT "(" INT ")" "]"

ECN: "ect01" | "ect0" | "ect1" | "noecn" | "ce"
ELLIPSIS.9: "..."
OPTION.8: /--[a-zA-Z0-9_]+(=("(\\.|[^"])*"|`(\\.|[^`])*`|[^\s]+))?/
CODE.8: /%\{(.|\n)*?\}%/
COMMAND.8: /`(\\.|[^`])*`/
STRING.8: /"(\\.|[^"])*"/
NOTE.2: /\([^()]*\)/
HEX.7: /0x[0-9a-fA-F]+(?![a-zA-Z0-9_])/
FLOAT.6: /-?[0-9]*\.[0-9]+/
INT.5: /-?[0-9]+(?![a-zA-Z0-9_])/
WORD: /[a-zA-Z0-9_]+/
DOT: "."
DASH: "-"
%ignore /[ \t\r\n]+/
%ignore /\/\/[^\n]*/
%ignore /\/\*(.|\n)*?\*\//
'''
