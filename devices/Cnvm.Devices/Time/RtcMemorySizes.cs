namespace Cnvm.Devices.Time;

/// <summary>What firmware tells of RAM in CMOS bytes, for guests that look there.</summary>
/// <param name="Below4G">Bytes of RAM from address 0 up to the hole below 4 GiB.</param>
/// <param name="Above4G">Bytes of RAM from 4 GiB on.</param>
public readonly record struct RtcMemorySizes(ulong Below4G, ulong Above4G)
{
    private const int BaseKiB = 0x15;
    private const int ExtendedKiB = 0x17;
    private const int ExtendedKiBAgain = 0x30;
    private const int Above16MiB = 0x34;
    private const int HighMemory = 0x5b;

    private const ulong KiB = 1 << 10;
    private const ulong MiB = 1 << 20;
    private const ulong Unit = 64 * KiB;

    internal void WriteTo(Span<byte> cmos)
    {
        Put(cmos, BaseKiB, 2, Math.Min(Below4G / KiB, 640));
        ulong extended = Math.Min(Above(MiB) / KiB, 0xffff);
        Put(cmos, ExtendedKiB, 2, extended);
        Put(cmos, ExtendedKiBAgain, 2, extended);
        Put(cmos, Above16MiB, 2, Math.Min(Above(16 * MiB) / Unit, 0xffff));
        Put(cmos, HighMemory, 3, Math.Min(Above4G / Unit, 0xff_ffff));
    }

    private static void Put(Span<byte> cmos, int at, int bytes, ulong value)
    {
        for (int i = 0; i < bytes; i++)
        {
            cmos[at + i] = (byte)(value >> (8 * i));
        }
    }

    private ulong Above(ulong start) => Below4G > start ? Below4G - start : 0;
}
