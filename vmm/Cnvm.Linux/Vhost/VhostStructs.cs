using System.Runtime.InteropServices;
using Cnvm.Linux.Abi;

namespace Cnvm.Linux.Vhost;

/// <summary>A number of one ring: its size, its base, or whether it is enabled.</summary>
[Abi("linux/vhost_types.h", "struct vhost_vring_state")]
[StructLayout(LayoutKind.Sequential)]
public struct vhost_vring_state
{
    public uint index;
    public uint num;
}

/// <summary>Where the parts of a ring lie, in addresses that memory regions give.</summary>
[Abi("linux/vhost_types.h", "struct vhost_vring_addr")]
[StructLayout(LayoutKind.Sequential)]
public struct vhost_vring_addr
{
    public uint index;
    public uint flags;
    public ulong desc_user_addr;
    public ulong used_user_addr;
    public ulong avail_user_addr;
    public ulong log_guest_addr;
}

/// <summary>A region of guest memory; vhost-user has the offset in its file where the kernel has nothing.</summary>
[Abi("linux/vhost_types.h", "struct vhost_memory_region")]
[StructLayout(LayoutKind.Sequential)]
public struct vhost_memory_region
{
    public ulong guest_phys_addr;
    public ulong memory_size;
    public ulong userspace_addr;

    /// <summary>mmap offset ("Memory region description" of the vhost-user protocol).</summary>
    [AbiField("flags_padding")] public ulong mmap_offset;
}
