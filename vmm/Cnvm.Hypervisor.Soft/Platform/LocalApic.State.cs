using System.Buffers.Binary;

namespace Cnvm.Hypervisor.Soft.Platform;

/// <summary>The register page as part of a vCPU's state.</summary>
internal sealed partial class LocalApic
{
    private const int PageBytes = 1024;

    public byte[] SavePage()
    {
        byte[] page = new byte[PageBytes];
        for (uint offset = 0x20; offset < PageBytes; offset += 16)
        {
            // The APIC id stands in the xAPIC place or as a whole, by mode.
            BinaryPrimitives.WriteUInt32LittleEndian(page.AsSpan((int)offset), Read(offset));
        }

        BinaryPrimitives.WriteUInt32LittleEndian(page.AsSpan((int)RegIcrHigh), (uint)(_icr >> 32));
        return page;
    }

    public void RestorePage(ReadOnlySpan<byte> page)
    {
        uint id = Word(page, RegId);
        _id = IsX2 ? id : id >> 24;
        _tpr = Word(page, RegTpr) & 0xff;
        _logical = IsX2 ? 0 : Word(page, RegLdr);
        _format = Word(page, RegDfr) | 0x0fff_ffff;
        _spurious = Word(page, RegSpurious) & SpuriousBits;
        _errors = Word(page, RegErrors);
        _icr = Word(page, RegIcrLow) | ((ulong)Word(page, RegIcrHigh) << 32);
        _divide = Word(page, RegDivide) & 11;
        for (int i = 0; i < 8; i++)
        {
            uint step = (uint)i * 16;
            _isr[i] = Word(page, RegIsr + step);
            _tmr[i] = Word(page, RegTmr + step);
            _irr[i] = Word(page, RegIrr + step);
        }

        for (int i = 0; i < _lvt.Length; i++)
        {
            _lvt[i] = Word(page, RegLvtTimer + ((uint)i * 16));
        }

        StopTimer();
        uint count = Word(page, RegInitialCount);
        if (count != 0 && TimerMode != 2)
        {
            uint left = Word(page, RegCurrentCount);
            long now = HostClock.Now;
            _initialCount = count;
            _expires = now + Period(left);
            _started = _expires - Period(count);
        }
    }

    /// <summary>Sets the base without the checks of WRMSR.</summary>
    public void RestoreBase(ulong value) => BaseMsr = value;

    private static uint Word(ReadOnlySpan<byte> page, uint offset) => BinaryPrimitives.ReadUInt32LittleEndian(page[(int)offset..]);
}
