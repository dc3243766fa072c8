using System.Runtime.InteropServices;
using Cnvm.Linux.Abi;

namespace Cnvm.Linux;

/// <summary>Fixed part of messages about interfaces.</summary>
[Abi("linux/rtnetlink.h", "struct ifinfomsg")]
[StructLayout(LayoutKind.Sequential)]
internal struct ifinfomsg
{
    public byte ifi_family;
    public byte __ifi_pad;
    public ushort ifi_type;
    public int ifi_index;
    public uint ifi_flags;
    public uint ifi_change;
}

/// <summary>Fixed part of messages about addresses.</summary>
[Abi("linux/if_addr.h", "struct ifaddrmsg")]
[StructLayout(LayoutKind.Sequential)]
internal struct ifaddrmsg
{
    public byte ifa_family;
    public byte ifa_prefixlen;
    public byte ifa_flags;
    public byte ifa_scope;
    public uint ifa_index;
}

/// <summary>Fixed part of messages about routes.</summary>
[Abi("linux/rtnetlink.h", "struct rtmsg")]
[StructLayout(LayoutKind.Sequential)]
internal struct rtmsg
{
    public byte rtm_family;
    public byte rtm_dst_len;
    public byte rtm_src_len;
    public byte rtm_tos;
    public byte rtm_table;
    public byte rtm_protocol;
    public byte rtm_scope;
    public byte rtm_type;
    public uint rtm_flags;
}

/// <summary>Fixed part of messages about neighbours.</summary>
[Abi("linux/neighbour.h", "struct ndmsg")]
[StructLayout(LayoutKind.Sequential)]
internal struct ndmsg
{
    public byte ndm_family;
    public byte ndm_pad1;
    public ushort ndm_pad2;
    public int ndm_ifindex;
    public ushort ndm_state;
    public byte ndm_flags;
    public byte ndm_type;
}

/// <summary>Fixed part of messages about traffic control.</summary>
[Abi("linux/rtnetlink.h", "struct tcmsg")]
[StructLayout(LayoutKind.Sequential)]
internal struct tcmsg
{
    public byte tcm_family;
    public byte tcm__pad1;
    public ushort tcm__pad2;
    public int tcm_ifindex;
    public uint tcm_handle;
    public uint tcm_parent;
    public uint tcm_info;
}

/// <summary>What a u32 filter looks at; its keys follow.</summary>
[Abi("linux/pkt_cls.h", "struct tc_u32_sel", Prefix = true)]
[StructLayout(LayoutKind.Sequential)]
internal struct tc_u32_sel
{
    public byte flags;
    public byte offshift;
    public byte nkeys;
    public ushort offmask;
    public ushort off;
    public short offoff;
    public short hoff;
    public uint hmask;
}

/// <summary>A word of the packet that a u32 filter compares.</summary>
[Abi("linux/pkt_cls.h", "struct tc_u32_key")]
[StructLayout(LayoutKind.Sequential)]
internal struct tc_u32_key
{
    public uint mask;
    public uint val;
    public int off;
    public int offmask;
}

/// <summary>Where the action mirred sends a packet.</summary>
[Abi("linux/tc_act/tc_mirred.h", "struct tc_mirred")]
[StructLayout(LayoutKind.Sequential)]
internal struct tc_mirred
{
    public uint index;
    public uint capab;
    public int action;
    public int refcnt;
    public int bindcnt;
    public int eaction;
    public uint ifindex;
}
