using System.Runtime.InteropServices;

namespace Cnvm.Virtio.Vsock;

/// <summary>struct virtio_vsock_hdr (virtio 1.2 §5.10.6), little-endian.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 4)]
internal struct VsockHeader
{
    public ulong SourceCid;
    public ulong DestinationCid;
    public uint SourcePort;
    public uint DestinationPort;

    /// <summary>Bytes of payload behind the header.</summary>
    public uint Length;
    public ushort Type;
    public ushort Operation;
    public uint Flags;

    /// <summary>The sender's buffer for this connection, in bytes.</summary>
    public uint BufferSize;

    /// <summary>Bytes that the sender has taken out of that buffer, modulo 2^32.</summary>
    public uint Forwarded;
}
