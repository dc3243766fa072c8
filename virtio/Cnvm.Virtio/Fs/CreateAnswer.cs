using System.Runtime.InteropServices;
using Cnvm.Linux.Fuse;

namespace Cnvm.Virtio.Fs;

/// <summary>What FUSE_CREATE is answered: two structures, one behind the other.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct CreateAnswer
{
    public fuse_entry_out Entry;
    public fuse_open_out Opened;
}
