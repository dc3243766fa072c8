using Cnvm.Linux.Abi;

namespace Cnvm.Linux;

/// <summary>Numbers of rtnetlink(7).</summary>
[Abi("linux/rtnetlink.h linux/if_link.h linux/if_addr.h linux/if_arp.h linux/neighbour.h linux/pkt_cls.h linux/pkt_sched.h linux/tc_act/tc_mirred.h linux/if_ether.h")]
internal static class RouteSpec
{
    public const ushort RTM_GETLINK = 18;
    public const ushort RTM_GETADDR = 22;
    public const ushort RTM_GETROUTE = 26;
    public const ushort RTM_GETNEIGH = 30;
    public const ushort RTM_NEWQDISC = 36;
    public const ushort RTM_DELQDISC = 37;
    public const ushort RTM_NEWTFILTER = 44;
    public const ushort IFLA_ADDRESS = 1;
    public const ushort IFLA_IFNAME = 3;
    public const ushort IFLA_MTU = 4;
    public const ushort IFLA_LINKINFO = 18;
    public const ushort IFLA_INFO_KIND = 1;
    public const ushort IFA_ADDRESS = 1;
    public const ushort IFA_LOCAL = 2;
    public const ushort RTA_DST = 1;
    public const ushort RTA_OIF = 4;
    public const ushort RTA_GATEWAY = 5;
    public const ushort RTA_PRIORITY = 6;
    public const ushort RTA_PREFSRC = 7;
    public const ushort RTA_MULTIPATH = 9;
    public const ushort RTA_TABLE = 15;
    public const ushort RTA_VIA = 18;
    public const ushort RTA_NH_ID = 30;
    public const ushort NDA_DST = 1;
    public const ushort NDA_LLADDR = 2;
    public const ushort TCA_KIND = 1;
    public const ushort TCA_OPTIONS = 2;
    public const ushort TCA_U32_SEL = 5;
    public const ushort TCA_U32_ACT = 7;
    public const ushort TCA_ACT_KIND = 1;
    public const ushort TCA_ACT_OPTIONS = 2;
    public const ushort TCA_MIRRED_PARMS = 2;
    public const byte TC_U32_TERMINAL = 1;
    public const int TC_ACT_STOLEN = 4;
    public const int TCA_EGRESS_REDIR = 1;
    public const uint TC_H_INGRESS = 0xfffffff1;
    public const uint TC_H_MAJ_MASK = 0xffff0000;
    public const ushort ETH_P_ALL = 3;
}
