# SPDX-License-Identifier: Apache-2.0
"""SNMP counters: /proc/net/snmp and /proc/net/netstat, by Linux's names. One flat list of ints a Net, indexed by the constants
here.

MIB_NAMES gives, in nstat's order, the name of each index as nstat prints it.
"""
from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mypy_extensions import i64

if TYPE_CHECKING:
    from linnet.include.net.net_namespace import Net

# fmt: off
IPSTATS_MIB_INRECEIVES: Final = 0
IPSTATS_MIB_INHDRERRORS: Final = 1
IPSTATS_MIB_INADDRERRORS: Final = 2
IPSTATS_MIB_FORWDATAGRAMS: Final = 3
IPSTATS_MIB_INUNKNOWNPROTOS: Final = 4
IPSTATS_MIB_INDISCARDS: Final = 5
IPSTATS_MIB_INDELIVERS: Final = 6
IPSTATS_MIB_OUTREQUESTS: Final = 7
IPSTATS_MIB_OUTDISCARDS: Final = 8
IPSTATS_MIB_OUTNOROUTES: Final = 9
IPSTATS_MIB_REASMTIMEOUT: Final = 10
IPSTATS_MIB_REASMREQDS: Final = 11
IPSTATS_MIB_REASMOKS: Final = 12
IPSTATS_MIB_REASMFAILS: Final = 13
IPSTATS_MIB_FRAGOKS: Final = 14
IPSTATS_MIB_FRAGFAILS: Final = 15
IPSTATS_MIB_FRAGCREATES: Final = 16
IPSTATS_MIB_OUTTRANSMITS: Final = 17
ICMP_MIB_INMSGS: Final = 18
ICMP_MIB_INERRORS: Final = 19
ICMP_MIB_INCSUMERRORS: Final = 20
ICMP_MIB_INDESTUNREACHS: Final = 21
ICMP_MIB_INTIMEEXCDS: Final = 22
ICMP_MIB_INPARMPROBS: Final = 23
ICMP_MIB_INSRCQUENCHS: Final = 24
ICMP_MIB_INREDIRECTS: Final = 25
ICMP_MIB_INECHOS: Final = 26
ICMP_MIB_INECHOREPS: Final = 27
ICMP_MIB_INTIMESTAMPS: Final = 28
ICMP_MIB_INTIMESTAMPREPS: Final = 29
ICMP_MIB_INADDRMASKS: Final = 30
ICMP_MIB_INADDRMASKREPS: Final = 31
ICMP_MIB_OUTMSGS: Final = 32
ICMP_MIB_OUTERRORS: Final = 33
ICMP_MIB_OUTRATELIMITGLOBAL: Final = 34
ICMP_MIB_OUTRATELIMITHOST: Final = 35
ICMP_MIB_OUTDESTUNREACHS: Final = 36
ICMP_MIB_OUTTIMEEXCDS: Final = 37
ICMP_MIB_OUTPARMPROBS: Final = 38
ICMP_MIB_OUTSRCQUENCHS: Final = 39
ICMP_MIB_OUTREDIRECTS: Final = 40
ICMP_MIB_OUTECHOS: Final = 41
ICMP_MIB_OUTECHOREPS: Final = 42
ICMP_MIB_OUTTIMESTAMPS: Final = 43
ICMP_MIB_OUTTIMESTAMPREPS: Final = 44
ICMP_MIB_OUTADDRMASKS: Final = 45
ICMP_MIB_OUTADDRMASKREPS: Final = 46
TCP_MIB_ACTIVEOPENS: Final = 47
TCP_MIB_PASSIVEOPENS: Final = 48
TCP_MIB_ATTEMPTFAILS: Final = 49
TCP_MIB_ESTABRESETS: Final = 50
TCP_MIB_INSEGS: Final = 51
TCP_MIB_OUTSEGS: Final = 52
TCP_MIB_RETRANSSEGS: Final = 53
TCP_MIB_INERRS: Final = 54
TCP_MIB_OUTRSTS: Final = 55
TCP_MIB_INCSUMERRORS: Final = 56
UDP_MIB_INDATAGRAMS: Final = 57
UDP_MIB_NOPORTS: Final = 58
UDP_MIB_INERRORS: Final = 59
UDP_MIB_OUTDATAGRAMS: Final = 60
UDP_MIB_RCVBUFERRORS: Final = 61
UDP_MIB_SNDBUFERRORS: Final = 62
UDP_MIB_INCSUMERRORS: Final = 63
UDP_MIB_IGNOREDMULTI: Final = 64
UDP_MIB_MEMERRORS: Final = 65
UDPLITE_MIB_INDATAGRAMS: Final = 66
UDPLITE_MIB_NOPORTS: Final = 67
UDPLITE_MIB_INERRORS: Final = 68
UDPLITE_MIB_OUTDATAGRAMS: Final = 69
UDPLITE_MIB_RCVBUFERRORS: Final = 70
UDPLITE_MIB_SNDBUFERRORS: Final = 71
UDPLITE_MIB_INCSUMERRORS: Final = 72
UDPLITE_MIB_IGNOREDMULTI: Final = 73
UDPLITE_MIB_MEMERRORS: Final = 74
LINUX_MIB_SYNCOOKIESSENT: Final = 75
LINUX_MIB_SYNCOOKIESRECV: Final = 76
LINUX_MIB_SYNCOOKIESFAILED: Final = 77
LINUX_MIB_EMBRYONICRSTS: Final = 78
LINUX_MIB_PRUNECALLED: Final = 79
LINUX_MIB_RCVPRUNED: Final = 80
LINUX_MIB_OFOPRUNED: Final = 81
LINUX_MIB_OUTOFWINDOWICMPS: Final = 82
LINUX_MIB_LOCKDROPPEDICMPS: Final = 83
LINUX_MIB_ARPFILTER: Final = 84
LINUX_MIB_TW: Final = 85
LINUX_MIB_TWRECYCLED: Final = 86
LINUX_MIB_TWKILLED: Final = 87
LINUX_MIB_PAWSACTIVE: Final = 88
LINUX_MIB_PAWSESTAB: Final = 89
LINUX_MIB_BEYONDWINDOW: Final = 90
LINUX_MIB_TSECRREJECTED: Final = 91
LINUX_MIB_PAWSOLDACK: Final = 92
LINUX_MIB_PAWSTIMEWAIT: Final = 93
LINUX_MIB_DELAYEDACKS: Final = 94
LINUX_MIB_DELAYEDACKLOCKED: Final = 95
LINUX_MIB_DELAYEDACKLOST: Final = 96
LINUX_MIB_LISTENOVERFLOWS: Final = 97
LINUX_MIB_LISTENDROPS: Final = 98
LINUX_MIB_TCPHPHITS: Final = 99
LINUX_MIB_TCPPUREACKS: Final = 100
LINUX_MIB_TCPHPACKS: Final = 101
LINUX_MIB_TCPRENORECOVERY: Final = 102
LINUX_MIB_TCPSACKRECOVERY: Final = 103
LINUX_MIB_TCPSACKRENEGING: Final = 104
LINUX_MIB_TCPSACKREORDER: Final = 105
LINUX_MIB_TCPRENOREORDER: Final = 106
LINUX_MIB_TCPTSREORDER: Final = 107
LINUX_MIB_TCPFULLUNDO: Final = 108
LINUX_MIB_TCPPARTIALUNDO: Final = 109
LINUX_MIB_TCPDSACKUNDO: Final = 110
LINUX_MIB_TCPLOSSUNDO: Final = 111
LINUX_MIB_TCPLOSTRETRANSMIT: Final = 112
LINUX_MIB_TCPRENOFAILURES: Final = 113
LINUX_MIB_TCPSACKFAILURES: Final = 114
LINUX_MIB_TCPLOSSFAILURES: Final = 115
LINUX_MIB_TCPFASTRETRANS: Final = 116
LINUX_MIB_TCPSLOWSTARTRETRANS: Final = 117
LINUX_MIB_TCPTIMEOUTS: Final = 118
LINUX_MIB_TCPLOSSPROBES: Final = 119
LINUX_MIB_TCPLOSSPROBERECOVERY: Final = 120
LINUX_MIB_TCPRENORECOVERYFAIL: Final = 121
LINUX_MIB_TCPSACKRECOVERYFAIL: Final = 122
LINUX_MIB_TCPRCVCOLLAPSED: Final = 123
LINUX_MIB_TCPBACKLOGCOALESCE: Final = 124
LINUX_MIB_TCPDSACKOLDSENT: Final = 125
LINUX_MIB_TCPDSACKOFOSENT: Final = 126
LINUX_MIB_TCPDSACKRECV: Final = 127
LINUX_MIB_TCPDSACKOFORECV: Final = 128
LINUX_MIB_TCPABORTONDATA: Final = 129
LINUX_MIB_TCPABORTONCLOSE: Final = 130
LINUX_MIB_TCPABORTONMEMORY: Final = 131
LINUX_MIB_TCPABORTONTIMEOUT: Final = 132
LINUX_MIB_TCPABORTONLINGER: Final = 133
LINUX_MIB_TCPABORTFAILED: Final = 134
LINUX_MIB_TCPMEMORYPRESSURES: Final = 135
LINUX_MIB_TCPMEMORYPRESSURESCHRONO: Final = 136
LINUX_MIB_TCPSACKDISCARD: Final = 137
LINUX_MIB_TCPDSACKIGNOREDOLD: Final = 138
LINUX_MIB_TCPDSACKIGNOREDNOUNDO: Final = 139
LINUX_MIB_TCPSPURIOUSRTOS: Final = 140
LINUX_MIB_TCPMD5NOTFOUND: Final = 141
LINUX_MIB_TCPMD5UNEXPECTED: Final = 142
LINUX_MIB_TCPMD5FAILURE: Final = 143
LINUX_MIB_TCPSACKSHIFTED: Final = 144
LINUX_MIB_TCPSACKMERGED: Final = 145
LINUX_MIB_TCPSACKSHIFTFALLBACK: Final = 146
LINUX_MIB_TCPBACKLOGDROP: Final = 147
LINUX_MIB_PFMEMALLOCDROP: Final = 148
LINUX_MIB_TCPMINTTLDROP: Final = 149
LINUX_MIB_TCPDEFERACCEPTDROP: Final = 150
LINUX_MIB_IPREVERSEPATHFILTER: Final = 151
LINUX_MIB_TCPTIMEWAITOVERFLOW: Final = 152
LINUX_MIB_TCPREQQFULLDOCOOKIES: Final = 153
LINUX_MIB_TCPREQQFULLDROP: Final = 154
LINUX_MIB_TCPRETRANSFAIL: Final = 155
LINUX_MIB_TCPRCVCOALESCE: Final = 156
LINUX_MIB_TCPOFOQUEUE: Final = 157
LINUX_MIB_TCPOFODROP: Final = 158
LINUX_MIB_TCPOFOMERGE: Final = 159
LINUX_MIB_TCPCHALLENGEACK: Final = 160
LINUX_MIB_TCPSYNCHALLENGE: Final = 161
LINUX_MIB_TCPFASTOPENACTIVE: Final = 162
LINUX_MIB_TCPFASTOPENACTIVEFAIL: Final = 163
LINUX_MIB_TCPFASTOPENPASSIVE: Final = 164
LINUX_MIB_TCPFASTOPENPASSIVEFAIL: Final = 165
LINUX_MIB_TCPFASTOPENLISTENOVERFLOW: Final = 166
LINUX_MIB_TCPFASTOPENCOOKIEREQD: Final = 167
LINUX_MIB_TCPFASTOPENBLACKHOLE: Final = 168
LINUX_MIB_TCPSPURIOUSRTXHOSTQUEUES: Final = 169
LINUX_MIB_BUSYPOLLRXPACKETS: Final = 170
LINUX_MIB_TCPAUTOCORKING: Final = 171
LINUX_MIB_TCPFROMZEROWINDOWADV: Final = 172
LINUX_MIB_TCPTOZEROWINDOWADV: Final = 173
LINUX_MIB_TCPWANTZEROWINDOWADV: Final = 174
LINUX_MIB_TCPSYNRETRANS: Final = 175
LINUX_MIB_TCPORIGDATASENT: Final = 176
LINUX_MIB_TCPHYSTARTTRAINDETECT: Final = 177
LINUX_MIB_TCPHYSTARTTRAINCWND: Final = 178
LINUX_MIB_TCPHYSTARTDELAYDETECT: Final = 179
LINUX_MIB_TCPHYSTARTDELAYCWND: Final = 180
LINUX_MIB_TCPACKSKIPPEDSYNRECV: Final = 181
LINUX_MIB_TCPACKSKIPPEDPAWS: Final = 182
LINUX_MIB_TCPACKSKIPPEDSEQ: Final = 183
LINUX_MIB_TCPACKSKIPPEDFINWAIT2: Final = 184
LINUX_MIB_TCPACKSKIPPEDTIMEWAIT: Final = 185
LINUX_MIB_TCPACKSKIPPEDCHALLENGE: Final = 186
LINUX_MIB_TCPWINPROBE: Final = 187
LINUX_MIB_TCPKEEPALIVE: Final = 188
LINUX_MIB_TCPMTUPFAIL: Final = 189
LINUX_MIB_TCPMTUPSUCCESS: Final = 190
LINUX_MIB_TCPDELIVERED: Final = 191
LINUX_MIB_TCPDELIVEREDCE: Final = 192
LINUX_MIB_TCPACKCOMPRESSED: Final = 193
LINUX_MIB_TCPZEROWINDOWDROP: Final = 194
LINUX_MIB_TCPRCVQDROP: Final = 195
LINUX_MIB_TCPWQUEUETOOBIG: Final = 196
LINUX_MIB_TCPFASTOPENPASSIVEALTKEY: Final = 197
LINUX_MIB_TCPTIMEOUTREHASH: Final = 198
LINUX_MIB_TCPDUPLICATEDATAREHASH: Final = 199
LINUX_MIB_TCPDSACKRECVSEGS: Final = 200
LINUX_MIB_TCPDSACKIGNOREDDUBIOUS: Final = 201
LINUX_MIB_TCPMIGRATEREQSUCCESS: Final = 202
LINUX_MIB_TCPMIGRATEREQFAILURE: Final = 203
LINUX_MIB_TCPPLBREHASH: Final = 204
LINUX_MIB_TCPAOREQUIRED: Final = 205
LINUX_MIB_TCPAOBAD: Final = 206
LINUX_MIB_TCPAOKEYNOTFOUND: Final = 207
LINUX_MIB_TCPAOGOOD: Final = 208
LINUX_MIB_TCPAODROPPEDICMPS: Final = 209
IPSTATS_MIB_INNOROUTES: Final = 210
IPSTATS_MIB_INTRUNCATEDPKTS: Final = 211
IPSTATS_MIB_INMCASTPKTS: Final = 212
IPSTATS_MIB_OUTMCASTPKTS: Final = 213
IPSTATS_MIB_INBCASTPKTS: Final = 214
IPSTATS_MIB_OUTBCASTPKTS: Final = 215
IPSTATS_MIB_INOCTETS: Final = 216
IPSTATS_MIB_OUTOCTETS: Final = 217
IPSTATS_MIB_INMCASTOCTETS: Final = 218
IPSTATS_MIB_OUTMCASTOCTETS: Final = 219
IPSTATS_MIB_INBCASTOCTETS: Final = 220
IPSTATS_MIB_OUTBCASTOCTETS: Final = 221
IPSTATS_MIB_INCSUMERRORS: Final = 222
IPSTATS_MIB_INNOECTPKTS: Final = 223
IPSTATS_MIB_INECT1PKTS: Final = 224
IPSTATS_MIB_INECT0PKTS: Final = 225
IPSTATS_MIB_INCEPKTS: Final = 226
IPSTATS_MIB_REASMOVERLAPS: Final = 227
TCP_MIB_CURRESTAB: Final = 228  # a gauge, which nstat leaves out
MIB_MAX: Final = 229
IPSTATS_MIB_INTOOBIGERRORS: Final = 229  # IPv6 alone counts it

ICMP6_MIB_INMSGS: Final = 0
ICMP6_MIB_INERRORS: Final = 1
ICMP6_MIB_OUTMSGS: Final = 2
ICMP6_MIB_OUTERRORS: Final = 3
ICMP6_MIB_CSUMERRORS: Final = 4
ICMP6_MIB_RATELIMITHOST: Final = 5
ICMP6_MIB_MAX: Final = 6

MIB_NAMES: Final = (
    'IpInReceives', 'IpInHdrErrors', 'IpInAddrErrors', 'IpForwDatagrams', 'IpInUnknownProtos', 'IpInDiscards',
    'IpInDelivers', 'IpOutRequests', 'IpOutDiscards', 'IpOutNoRoutes', 'IpReasmTimeout', 'IpReasmReqds',
    'IpReasmOKs', 'IpReasmFails', 'IpFragOKs', 'IpFragFails', 'IpFragCreates', 'IpOutTransmits', 'IcmpInMsgs',
    'IcmpInErrors', 'IcmpInCsumErrors', 'IcmpInDestUnreachs', 'IcmpInTimeExcds', 'IcmpInParmProbs',
    'IcmpInSrcQuenchs', 'IcmpInRedirects', 'IcmpInEchos', 'IcmpInEchoReps', 'IcmpInTimestamps',
    'IcmpInTimestampReps', 'IcmpInAddrMasks', 'IcmpInAddrMaskReps', 'IcmpOutMsgs', 'IcmpOutErrors',
    'IcmpOutRateLimitGlobal', 'IcmpOutRateLimitHost', 'IcmpOutDestUnreachs', 'IcmpOutTimeExcds', 'IcmpOutParmProbs',
    'IcmpOutSrcQuenchs', 'IcmpOutRedirects', 'IcmpOutEchos', 'IcmpOutEchoReps', 'IcmpOutTimestamps',
    'IcmpOutTimestampReps', 'IcmpOutAddrMasks', 'IcmpOutAddrMaskReps', 'TcpActiveOpens', 'TcpPassiveOpens',
    'TcpAttemptFails', 'TcpEstabResets', 'TcpInSegs', 'TcpOutSegs', 'TcpRetransSegs', 'TcpInErrs', 'TcpOutRsts',
    'TcpInCsumErrors', 'UdpInDatagrams', 'UdpNoPorts', 'UdpInErrors', 'UdpOutDatagrams', 'UdpRcvbufErrors',
    'UdpSndbufErrors', 'UdpInCsumErrors', 'UdpIgnoredMulti', 'UdpMemErrors', 'UdpLiteInDatagrams', 'UdpLiteNoPorts',
    'UdpLiteInErrors', 'UdpLiteOutDatagrams', 'UdpLiteRcvbufErrors', 'UdpLiteSndbufErrors', 'UdpLiteInCsumErrors',
    'UdpLiteIgnoredMulti', 'UdpLiteMemErrors', 'TcpExtSyncookiesSent', 'TcpExtSyncookiesRecv',
    'TcpExtSyncookiesFailed', 'TcpExtEmbryonicRsts', 'TcpExtPruneCalled', 'TcpExtRcvPruned', 'TcpExtOfoPruned',
    'TcpExtOutOfWindowIcmps', 'TcpExtLockDroppedIcmps', 'TcpExtArpFilter', 'TcpExtTW', 'TcpExtTWRecycled',
    'TcpExtTWKilled', 'TcpExtPAWSActive', 'TcpExtPAWSEstab', 'TcpExtBeyondWindow', 'TcpExtTSEcrRejected',
    'TcpExtPAWSOldAck', 'TcpExtPAWSTimewait', 'TcpExtDelayedACKs', 'TcpExtDelayedACKLocked', 'TcpExtDelayedACKLost',
    'TcpExtListenOverflows', 'TcpExtListenDrops', 'TcpExtTCPHPHits', 'TcpExtTCPPureAcks', 'TcpExtTCPHPAcks',
    'TcpExtTCPRenoRecovery', 'TcpExtTCPSackRecovery', 'TcpExtTCPSACKReneging', 'TcpExtTCPSACKReorder',
    'TcpExtTCPRenoReorder', 'TcpExtTCPTSReorder', 'TcpExtTCPFullUndo', 'TcpExtTCPPartialUndo', 'TcpExtTCPDSACKUndo',
    'TcpExtTCPLossUndo', 'TcpExtTCPLostRetransmit', 'TcpExtTCPRenoFailures', 'TcpExtTCPSackFailures',
    'TcpExtTCPLossFailures', 'TcpExtTCPFastRetrans', 'TcpExtTCPSlowStartRetrans', 'TcpExtTCPTimeouts',
    'TcpExtTCPLossProbes', 'TcpExtTCPLossProbeRecovery', 'TcpExtTCPRenoRecoveryFail', 'TcpExtTCPSackRecoveryFail',
    'TcpExtTCPRcvCollapsed', 'TcpExtTCPBacklogCoalesce', 'TcpExtTCPDSACKOldSent', 'TcpExtTCPDSACKOfoSent',
    'TcpExtTCPDSACKRecv', 'TcpExtTCPDSACKOfoRecv', 'TcpExtTCPAbortOnData', 'TcpExtTCPAbortOnClose',
    'TcpExtTCPAbortOnMemory', 'TcpExtTCPAbortOnTimeout', 'TcpExtTCPAbortOnLinger', 'TcpExtTCPAbortFailed',
    'TcpExtTCPMemoryPressures', 'TcpExtTCPMemoryPressuresChrono', 'TcpExtTCPSACKDiscard', 'TcpExtTCPDSACKIgnoredOld',
    'TcpExtTCPDSACKIgnoredNoUndo', 'TcpExtTCPSpuriousRTOs', 'TcpExtTCPMD5NotFound', 'TcpExtTCPMD5Unexpected',
    'TcpExtTCPMD5Failure', 'TcpExtTCPSackShifted', 'TcpExtTCPSackMerged', 'TcpExtTCPSackShiftFallback',
    'TcpExtTCPBacklogDrop', 'TcpExtPFMemallocDrop', 'TcpExtTCPMinTTLDrop', 'TcpExtTCPDeferAcceptDrop',
    'TcpExtIPReversePathFilter', 'TcpExtTCPTimeWaitOverflow', 'TcpExtTCPReqQFullDoCookies', 'TcpExtTCPReqQFullDrop',
    'TcpExtTCPRetransFail', 'TcpExtTCPRcvCoalesce', 'TcpExtTCPOFOQueue', 'TcpExtTCPOFODrop', 'TcpExtTCPOFOMerge',
    'TcpExtTCPChallengeACK', 'TcpExtTCPSYNChallenge', 'TcpExtTCPFastOpenActive', 'TcpExtTCPFastOpenActiveFail',
    'TcpExtTCPFastOpenPassive', 'TcpExtTCPFastOpenPassiveFail', 'TcpExtTCPFastOpenListenOverflow',
    'TcpExtTCPFastOpenCookieReqd', 'TcpExtTCPFastOpenBlackhole', 'TcpExtTCPSpuriousRtxHostQueues',
    'TcpExtBusyPollRxPackets', 'TcpExtTCPAutoCorking', 'TcpExtTCPFromZeroWindowAdv', 'TcpExtTCPToZeroWindowAdv',
    'TcpExtTCPWantZeroWindowAdv', 'TcpExtTCPSynRetrans', 'TcpExtTCPOrigDataSent', 'TcpExtTCPHystartTrainDetect',
    'TcpExtTCPHystartTrainCwnd', 'TcpExtTCPHystartDelayDetect', 'TcpExtTCPHystartDelayCwnd',
    'TcpExtTCPACKSkippedSynRecv', 'TcpExtTCPACKSkippedPAWS', 'TcpExtTCPACKSkippedSeq', 'TcpExtTCPACKSkippedFinWait2',
    'TcpExtTCPACKSkippedTimeWait', 'TcpExtTCPACKSkippedChallenge', 'TcpExtTCPWinProbe', 'TcpExtTCPKeepAlive',
    'TcpExtTCPMTUPFail', 'TcpExtTCPMTUPSuccess', 'TcpExtTCPDelivered', 'TcpExtTCPDeliveredCE',
    'TcpExtTCPAckCompressed', 'TcpExtTCPZeroWindowDrop', 'TcpExtTCPRcvQDrop', 'TcpExtTCPWqueueTooBig',
    'TcpExtTCPFastOpenPassiveAltKey', 'TcpExtTcpTimeoutRehash', 'TcpExtTcpDuplicateDataRehash',
    'TcpExtTCPDSACKRecvSegs', 'TcpExtTCPDSACKIgnoredDubious', 'TcpExtTCPMigrateReqSuccess',
    'TcpExtTCPMigrateReqFailure', 'TcpExtTCPPLBRehash', 'TcpExtTCPAORequired', 'TcpExtTCPAOBad',
    'TcpExtTCPAOKeyNotFound', 'TcpExtTCPAOGood', 'TcpExtTCPAODroppedIcmps', 'IpExtInNoRoutes',
    'IpExtInTruncatedPkts', 'IpExtInMcastPkts', 'IpExtOutMcastPkts', 'IpExtInBcastPkts', 'IpExtOutBcastPkts',
    'IpExtInOctets', 'IpExtOutOctets', 'IpExtInMcastOctets', 'IpExtOutMcastOctets', 'IpExtInBcastOctets',
    'IpExtOutBcastOctets', 'IpExtInCsumErrors', 'IpExtInNoECTPkts', 'IpExtInECT1Pkts', 'IpExtInECT0Pkts',
    'IpExtInCEPkts', 'IpExtReasmOverlaps', 'TcpCurrEstab',
)
# The lines of /proc/net/snmp6, in its order: the name, and the counter's index in NetnsMib.ipv6 (the constants of IPv4 serve).
MIB6_NAMES: Final = (
    ('Ip6InReceives', IPSTATS_MIB_INRECEIVES), ('Ip6InHdrErrors', IPSTATS_MIB_INHDRERRORS),
    ('Ip6InTooBigErrors', IPSTATS_MIB_INTOOBIGERRORS), ('Ip6InNoRoutes', IPSTATS_MIB_INNOROUTES),
    ('Ip6InAddrErrors', IPSTATS_MIB_INADDRERRORS), ('Ip6InUnknownProtos', IPSTATS_MIB_INUNKNOWNPROTOS),
    ('Ip6InTruncatedPkts', IPSTATS_MIB_INTRUNCATEDPKTS), ('Ip6InDiscards', IPSTATS_MIB_INDISCARDS),
    ('Ip6InDelivers', IPSTATS_MIB_INDELIVERS), ('Ip6OutForwDatagrams', IPSTATS_MIB_FORWDATAGRAMS),
    ('Ip6OutRequests', IPSTATS_MIB_OUTREQUESTS), ('Ip6OutDiscards', IPSTATS_MIB_OUTDISCARDS),
    ('Ip6OutNoRoutes', IPSTATS_MIB_OUTNOROUTES), ('Ip6ReasmTimeout', IPSTATS_MIB_REASMTIMEOUT),
    ('Ip6ReasmReqds', IPSTATS_MIB_REASMREQDS), ('Ip6ReasmOKs', IPSTATS_MIB_REASMOKS),
    ('Ip6ReasmFails', IPSTATS_MIB_REASMFAILS), ('Ip6FragOKs', IPSTATS_MIB_FRAGOKS),
    ('Ip6FragFails', IPSTATS_MIB_FRAGFAILS), ('Ip6FragCreates', IPSTATS_MIB_FRAGCREATES),
    ('Ip6InMcastPkts', IPSTATS_MIB_INMCASTPKTS), ('Ip6OutMcastPkts', IPSTATS_MIB_OUTMCASTPKTS),
    ('Ip6InOctets', IPSTATS_MIB_INOCTETS), ('Ip6OutOctets', IPSTATS_MIB_OUTOCTETS),
    ('Ip6InMcastOctets', IPSTATS_MIB_INMCASTOCTETS), ('Ip6OutMcastOctets', IPSTATS_MIB_OUTMCASTOCTETS),
    ('Ip6InBcastOctets', IPSTATS_MIB_INBCASTOCTETS), ('Ip6OutBcastOctets', IPSTATS_MIB_OUTBCASTOCTETS),
    ('Ip6InNoECTPkts', IPSTATS_MIB_INNOECTPKTS), ('Ip6InECT1Pkts', IPSTATS_MIB_INECT1PKTS),
    ('Ip6InECT0Pkts', IPSTATS_MIB_INECT0PKTS), ('Ip6InCEPkts', IPSTATS_MIB_INCEPKTS),
    ('Ip6OutTransmits', IPSTATS_MIB_OUTTRANSMITS),
    ('Udp6InDatagrams', UDP_MIB_INDATAGRAMS), ('Udp6NoPorts', UDP_MIB_NOPORTS), ('Udp6InErrors', UDP_MIB_INERRORS),
    ('Udp6OutDatagrams', UDP_MIB_OUTDATAGRAMS), ('Udp6RcvbufErrors', UDP_MIB_RCVBUFERRORS),
    ('Udp6SndbufErrors', UDP_MIB_SNDBUFERRORS), ('Udp6InCsumErrors', UDP_MIB_INCSUMERRORS),
    ('Udp6IgnoredMulti', UDP_MIB_IGNOREDMULTI), ('Udp6MemErrors', UDP_MIB_MEMERRORS),
)

# ICMPv6's messages that have names there, as Icmp6In… and Icmp6Out…: the name and the type
ICMP6_TYPE_NAMES: Final = (
    ('DestUnreachs', 1), ('PktTooBigs', 2), ('TimeExcds', 3), ('ParmProblems', 4), ('Echos', 128), ('EchoReplies', 129),
    ('GroupMembQueries', 130), ('GroupMembResponses', 131), ('GroupMembReductions', 132), ('RouterSolicits', 133),
    ('RouterAdvertisements', 134), ('NeighborSolicits', 135), ('NeighborAdvertisements', 136), ('Redirects', 137),
    ('MLDv2Reports', 143),
)
ICMP6_NAMES: Final = (
    'Icmp6InMsgs', 'Icmp6InErrors', 'Icmp6OutMsgs', 'Icmp6OutErrors', 'Icmp6InCsumErrors', 'Icmp6OutRateLimitHost',
)
# fmt: on


class NetnsMib:
    """The counters of one Net. `icmp_types[256 + type]` counts ICMP messages sent, `icmp_types[type]` received, by type."""

    def __init__(self) -> None:
        self.counters: list[int] = [0] * MIB_MAX
        self.icmp_types: list[int] = [0] * 512
        self.ipv6: list[int] = [0] * (MIB_MAX + 1)  # of IPv6 and its UDP, by the same constants
        self.icmpv6: list[int] = [0] * ICMP6_MIB_MAX
        self.icmpv6_types: list[int] = [0] * 512
        self.drops: dict[int, int] = {}  # drop reason -> packets

    def get(self, name: str) -> int:
        """One counter by nstat's name ('TcpRetransSegs', 'TcpExtTCPTimeouts'); KeyError where there is none such."""
        if name in MIB_NAMES:
            return self.counters[MIB_NAMES.index(name)]
        if name in ICMP6_NAMES:
            return self.icmpv6[ICMP6_NAMES.index(name)]
        for name6, field in MIB6_NAMES:
            if name6 == name:
                return self.ipv6[field]
        for message, type in ICMP6_TYPE_NAMES:
            if name == 'Icmp6In' + message:
                return self.icmpv6_types[type]
            if name == 'Icmp6Out' + message:
                return self.icmpv6_types[256 + type]
        raise KeyError(f'no counter named {name!r}; the names are those of nstat')

    def as_dict(self) -> dict[str, int]:
        """All counters by nstat's names."""
        counters = {MIB_NAMES[i]: self.counters[i] for i in range(MIB_MAX)}
        for name, field in MIB6_NAMES:
            counters[name] = self.ipv6[field]
        for i in range(ICMP6_MIB_MAX):
            counters[ICMP6_NAMES[i]] = self.icmpv6[i]
        return counters


def NET_INC_STATS(net: Net, field: i64) -> None:
    """Count one.  Linux: include/net/ip.h."""
    net.mib.counters[field] += 1


def NET_ADD_STATS(net: Net, field: i64, n: i64) -> None:
    """Count n.  Linux: include/net/ip.h."""
    net.mib.counters[field] += int(n)


def IP6_INC_STATS(net: Net, field: i64) -> None:
    """Count one of IPv6 (IPSTATS_MIB_*).  Linux: include/net/ipv6.h, which counts for the device too."""
    net.mib.ipv6[field] += 1


def IP6_ADD_STATS(net: Net, field: i64, n: i64) -> None:
    """Count n of IPv6.  Linux: include/net/ipv6.h."""
    net.mib.ipv6[field] += int(n)


def UDP6_INC_STATS(net: Net, field: i64) -> None:
    """Count one of UDP over IPv6 (UDP_MIB_*).  Linux: include/net/udp.h."""
    net.mib.ipv6[field] += 1


def ICMP6_INC_STATS(net: Net, field: i64) -> None:
    """Count one of ICMPv6 (ICMP6_MIB_*).  Linux: include/net/ipv6.h."""
    net.mib.icmpv6[field] += 1


def ICMP6MSGIN_INC_STATS(net: Net, type: i64) -> None:
    """Count a message received, by its type.  Linux: include/net/ipv6.h."""
    net.mib.icmpv6_types[type] += 1


def ICMP6MSGOUT_INC_STATS(net: Net, type: i64) -> None:
    """Count a message sent, by its type.  Linux: include/net/ipv6.h."""
    net.mib.icmpv6_types[256 + type] += 1
