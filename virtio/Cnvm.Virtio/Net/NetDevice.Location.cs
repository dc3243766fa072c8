using System.Buffers.Binary;
using Cnvm.Linux;

namespace Cnvm.Virtio.Net;

/// <content>Telling the network where the guest is.</content>
public sealed partial class NetDevice
{
    private const int HeaderBytes = 12;
    private const int FrameBytes = 60;
    private const int AddressBytes = 6;
    private const ushort EtherTypeRarp = 0x8035;
    private const ushort HardwareEthernet = 1;
    private const ushort ProtocolIpv4 = 0x0800;
    private const ushort ReverseRequest = 3;

    /// <summary>
    /// Sends a frame to everybody from the guest's address, a reverse ARP request (RFC 903) that nobody has to answer: switches learn from it at
    /// which port the guest is now. The guest need not do anything for it. While no queue runs, after a migration, or any time if the back end
    /// may disconnect.
    /// </summary>
    /// <returns>False if the interface does not take it now.</returns>
    public unsafe bool ShowLocation()
    {
        Span<byte> bytes = stackalloc byte[HeaderBytes + FrameBytes];
        bytes.Clear();
        Span<byte> frame = bytes[HeaderBytes..];
        ReadOnlySpan<byte> mac = Mac.GetAddressBytes();
        frame[..AddressBytes].Fill(0xff);
        mac.CopyTo(frame[AddressBytes..]);
        BinaryPrimitives.WriteUInt16BigEndian(frame[12..], EtherTypeRarp);
        BinaryPrimitives.WriteUInt16BigEndian(frame[14..], HardwareEthernet);
        BinaryPrimitives.WriteUInt16BigEndian(frame[16..], ProtocolIpv4);
        frame[18] = AddressBytes;
        frame[19] = sizeof(uint);
        BinaryPrimitives.WriteUInt16BigEndian(frame[20..], ReverseRequest);
        mac.CopyTo(frame[22..]);
        mac.CopyTo(frame[32..]);

        // SAFETY: the vector describes the local bytes, which the call only reads.
        fixed (byte* p = bytes)
        {
            var vector = new IoVec { Base = (nint)p, Length = (nuint)bytes.Length };
            return _backend.Write(0, &vector, 1) == bytes.Length;
        }
    }

    /// <summary>On the back end's thread: the driver learns that the link is up or down, and who is there now where the guest is.</summary>
    private void OnConnectionChanged()
    {
        lock (_lock)
        {
            UpdateStatus();
        }

        Interrupts?.SignalConfiguration();
        if (_backend.IsConnected)
        {
            _ = ShowLocation();
        }
    }
}
