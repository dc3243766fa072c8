using System.Net.NetworkInformation;
using System.Net;
using System.Runtime.InteropServices;
using System.Text;
using Cnvm.Linux.Abi;

namespace Cnvm.Linux;

/// <summary>struct ifreq (net/if.h): a name and one value.</summary>
[Abi("net/if.h", "struct ifreq")]
[StructLayout(LayoutKind.Explicit, Size = 40)]
internal unsafe struct IfReq
{
    private const int NameSize = 16;
    private const int DataSize = 14;

    /// <summary>Offset of the address in struct sockaddr_in's data, behind the port.</summary>
    private const int Ipv4Offset = 2;
    private const ushort AddressFamilyInet = 2;
    private const ushort HardwareTypeEthernet = 1;

    [FieldOffset(0)]
    [AbiField("ifr_name")]
    private fixed byte _name[NameSize];
    [FieldOffset(16)]
    [AbiField("ifr_flags")]
    public short Flags;
    [FieldOffset(16)]
    [AbiField("ifr_mtu")]
    public int Value;
    [FieldOffset(16)]
    [AbiField("ifr_data")]
    public nint Data;
    [FieldOffset(16)]
    [AbiField("ifr_addr.sa_family")]
    private ushort _family;
    [FieldOffset(18)]
    [AbiField("ifr_addr.sa_data")]
    private fixed byte _data[DataSize];

    /// <exception cref="ArgumentException">Longer than 15 bytes.</exception>
    public IfReq(string name)
    {
        int bytes = Encoding.UTF8.GetByteCount(name);
        if (bytes >= NameSize)
        {
            throw new ArgumentException($"interface name '{name}' is longer than {NameSize - 1} bytes", nameof(name));
        }

        fixed (byte* p = _name)
        {
            // SAFETY: the length was just checked; the rest of the array is zero.
            Encoding.UTF8.GetBytes(name, new Span<byte>(p, NameSize));
        }
    }

    public string Name
    {
        get
        {
            fixed (byte* p = _name)
            {
                // SAFETY: the name ends within the array.
                ReadOnlySpan<byte> bytes = new(p, NameSize);
                int end = bytes.IndexOf((byte)0);
                return Encoding.UTF8.GetString(end < 0 ? bytes : bytes[..end]);
            }
        }
    }

    public void SetAddress(IPAddress address)
    {
        _family = AddressFamilyInet;
        CopyToData(address.GetAddressBytes(), Ipv4Offset);
    }

    public void SetHardwareAddress(PhysicalAddress address)
    {
        _family = HardwareTypeEthernet;
        CopyToData(address.GetAddressBytes(), 0);
    }

    public readonly PhysicalAddress GetHardwareAddress()
    {
        byte[] address = new byte[6];
        for (int i = 0; i < 6; i++)
        {
            // SAFETY: six bytes inside the struct.
            address[i] = _data[i];
        }

        return new PhysicalAddress(address);
    }

    private void CopyToData(ReadOnlySpan<byte> bytes, int offset)
    {
        for (int i = 0; i < bytes.Length && offset + i < DataSize; i++)
        {
            // SAFETY: the index is below the array's size.
            _data[offset + i] = bytes[i];
        }
    }
}
