using System.Buffers.Binary;

namespace Cnvm.Hypervisor.Soft.Platform;

/// <summary>Registers, by their offset in the xAPIC page; x2APIC MSR 0x800 + n is offset 16 n (SDM vol. 3 §11.4.1, §11.12.1).</summary>
internal sealed partial class LocalApic
{
    private const uint RegId = 0x20;
    private const uint RegVersion = 0x30;
    private const uint RegTpr = 0x80;
    private const uint RegPpr = 0xa0;
    private const uint RegEoi = 0xb0;
    private const uint RegLdr = 0xd0;
    private const uint RegDfr = 0xe0;
    private const uint RegSpurious = 0xf0;
    private const uint RegIsr = 0x100;
    private const uint RegTmr = 0x180;
    private const uint RegIrr = 0x200;
    private const uint RegErrors = 0x280;
    private const uint RegIcrLow = 0x300;
    private const uint RegIcrHigh = 0x310;
    private const uint RegLvtTimer = 0x320;
    private const uint RegLvtError = 0x370;
    private const uint RegInitialCount = 0x380;
    private const uint RegCurrentCount = 0x390;
    private const uint RegDivide = 0x3e0;
    private const uint RegSelfIpi = 0x3f0;

    /// <summary>Version 0x14, six LVT entries, EOI broadcasts can be suppressed.</summary>
    private const uint Version = 0x0105_0014;

    /// <summary>Bits of the spurious-interrupt register: vector, software enable, focus check, no EOI broadcasts (SDM vol. 3 figure 11-23).</summary>
    private const uint SpuriousBits = 0x13ff;
    private const uint SpuriousNoBroadcast = 0x1000;

    public void ReadMemory(uint offset, Span<byte> data)
    {
        data.Clear();
        uint value = Read(offset & 0xff0);
        int skip = (int)(offset & 15);
        for (int i = 0; i < data.Length && skip + i < 4; i++)
        {
            data[i] = (byte)(value >> ((skip + i) * 8));
        }
    }

    public void WriteMemory(uint offset, ReadOnlySpan<byte> data)
    {
        // Only aligned 32-bit stores are defined; others are dropped.
        if ((offset & 15) == 0 && data.Length >= 4)
        {
            Write(offset & 0xff0, BinaryPrimitives.ReadUInt32LittleEndian(data));
        }
    }

    /// <summary>Registers that exist as MSRs (SDM vol. 3 table 11-6); the others are #GP.</summary>
    private static bool IsReadable(uint offset) =>
        offset is RegId or RegVersion or RegTpr or RegPpr or RegLdr or RegSpurious or (>= RegIsr and <= RegErrors) or RegIcrLow
            or (>= RegLvtTimer and <= RegCurrentCount) or RegDivide;

    private static bool IsWritable(uint offset) =>
        offset is RegTpr or RegEoi or RegSpurious or RegErrors or RegIcrLow or (>= RegLvtTimer and <= RegInitialCount) or RegDivide or RegSelfIpi;

    /// <summary>RDMSR of 0x800..0x8ff; false for registers that do not exist.</summary>
    public bool ReadMsr(uint msr, out ulong value)
    {
        uint offset = (msr & 0xff) << 4;
        value = 0;
        if (!IsX2 || !IsReadable(offset))
        {
            return false;
        }

        value = offset == RegIcrLow ? _icr : Read(offset);
        return true;
    }

    public bool WriteMsr(uint msr, ulong value)
    {
        uint offset = (msr & 0xff) << 4;
        if (!IsX2 || !IsWritable(offset))
        {
            return false;
        }

        if (offset == RegIcrLow)
        {
            _icr = value & 0xffff_ffff_000c_cfff;
            Send((uint)_icr, (uint)(value >> 32));
            return true;
        }

        if (value >> 32 != 0 || (offset is RegEoi or RegErrors && value != 0))
        {
            return false;
        }

        if (offset == RegSelfIpi)
        {
            Post((int)value & 0xff, level: false);
            return true;
        }

        Write(offset, (uint)value);
        return true;
    }

    private uint Read(uint offset) =>
        offset switch
        {
            RegId => IsX2 ? InitialId : _id << 24,
            RegVersion => Version,
            RegTpr => _tpr,
            RegPpr => ProcessorPriority(),
            RegLdr => IsX2 ? LogicalX2 : _logical,
            RegDfr => _format,
            RegSpurious => _spurious,
            >= RegIsr and < RegTmr => _isr[(offset - RegIsr) >> 4],
            >= RegTmr and < RegIrr => _tmr[(offset - RegTmr) >> 4],
            >= RegIrr and < RegErrors => _irr[(offset - RegIrr) >> 4],
            RegErrors => _errors,
            RegIcrLow => (uint)_icr,
            RegIcrHigh => (uint)(_icr >> 32),
            >= RegLvtTimer and <= RegLvtError => _lvt[(offset - RegLvtTimer) >> 4],
            RegInitialCount => _initialCount,
            RegCurrentCount => CurrentCount(),
            RegDivide => _divide,
            _ => 0,
        };

    private void Write(uint offset, uint value)
    {
        switch (offset)
        {
            case RegId:
                _id = value >> 24;
                break;
            case RegTpr:
                _tpr = value & 0xff;
                _vcpu.RaiseAttention(Core.AttentionBits.Interrupt);
                break;
            case RegEoi:
                EndOfInterrupt();
                break;
            case RegLdr:
                _logical = value & 0xff00_0000;
                break;
            case RegDfr:
                _format = value | 0x0fff_ffff;
                break;
            case RegSpurious:
                _spurious = value & SpuriousBits;
                if (!IsSoftwareEnabled)
                {
                    // Software disable masks every LVT entry (SDM vol. 3 §11.4.7.2).
                    for (int i = 0; i < _lvt.Length; i++)
                    {
                        _lvt[i] |= LvtMasked;
                    }
                }

                _vcpu.RaiseAttention(Core.AttentionBits.Interrupt);
                break;
            case RegErrors:
                _errors = 0;
                break;
            case RegIcrHigh:
                _icr = (uint)_icr | ((ulong)(value & 0xff00_0000) << 32);
                break;
            case RegIcrLow:
                _icr = (_icr & 0xffff_ffff_0000_0000) | (value & 0x000c_cfff);
                Send(value, (uint)(_icr >> 56));
                break;
            case >= RegLvtTimer and <= RegLvtError:
                int n = (int)((offset - RegLvtTimer) >> 4);
                WriteLvt(n, value);
                break;
            case RegInitialCount:
                SetInitialCount(value);
                break;
            case RegDivide:
                _divide = value & 11;
                break;
            default:
                // Read-only and reserved registers ignore writes.
                break;
        }
    }

    private void WriteLvt(int n, uint value)
    {
        uint mask = n == LvtTimer ? 0x7_00ffu : n is LvtLint0 or LvtLint1 ? 0x1_a7ffu : n == LvtError ? 0x1_00ffu : 0x1_07ffu;
        uint old = _lvt[n];
        value &= mask;
        _lvt[n] = IsSoftwareEnabled ? value : value | LvtMasked;
        if (n == LvtTimer && ((old ^ value) & 0x6_0000) != 0)
        {
            StopTimer();
        }

        if (n == LvtLint0)
        {
            _vcpu.RaiseAttention(Core.AttentionBits.Interrupt);
        }
    }

    /// <summary>Carries out an interrupt command.</summary>
    private void Send(uint low, uint destination)
    {
        int vector = (int)low & 0xff;
        int mode = (int)(low >> 8) & 7;
        bool logical = (low & 0x800) != 0;
        int shorthand = (int)(low >> 18) & 3;
        bool levelDeassert = (low & 0xc000) == 0x8000;
        if (mode == 5 && levelDeassert)
        {
            // INIT level de-assert has had no effect since the Pentium 4.
            return;
        }

        _vcpu.Partition.Route(_vcpu, shorthand, destination, logical, IsX2, mode, vector, level: false);
    }
}
