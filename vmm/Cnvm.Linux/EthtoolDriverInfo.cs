using System.Runtime.InteropServices;
using System.Text;
using Cnvm.Linux.Abi;

namespace Cnvm.Linux;

/// <summary>struct ethtool_drvinfo (linux/ethtool.h): which driver an interface has; of the rest nothing is read.</summary>
[Abi("linux/ethtool.h", "struct ethtool_drvinfo")]
[StructLayout(LayoutKind.Explicit, Size = 196)]
internal unsafe struct EthtoolDriverInfo
{
    private const uint ETHTOOL_GDRVINFO = 3;
    private const int NameSize = 32;

    [FieldOffset(0)]
    [AbiField("cmd")]
    private readonly uint _command;
    [FieldOffset(4)]
    [AbiField("driver")]
    private fixed byte _driver[NameSize];

    public EthtoolDriverInfo() => _command = ETHTOOL_GDRVINFO;

    public string Driver
    {
        get
        {
            fixed (byte* p = _driver)
            {
                // SAFETY: the name ends within the array.
                ReadOnlySpan<byte> bytes = new(p, NameSize);
                int end = bytes.IndexOf((byte)0);
                return Encoding.UTF8.GetString(end < 0 ? bytes : bytes[..end]);
            }
        }
    }
}
