using System.Numerics;

namespace Cnvm.Hypervisor.Soft.Platform;

/// <summary>
/// A local APIC in xAPIC or x2APIC mode (SDM vol. 3 chapter 11). Its vCPU's thread owns it; other threads only post interrupts
/// (IRR and TMR are changed atomically) and the PIC's output.
/// </summary>
internal sealed partial class LocalApic
{
    public const ulong BaseEnable = 1 << 11;
    public const ulong BaseX2 = 1 << 10;
    public const ulong BaseBsp = 1 << 8;

    private const int LvtTimer = 0;
    private const int LvtLint0 = 3;
    private const int LvtLint1 = 4;
    private const int LvtError = 5;
    private const uint LvtMasked = 1 << 16;

    private readonly SoftVcpu _vcpu;
    private readonly bool _bsp;
    private readonly uint[] _irr = new uint[8];
    private readonly uint[] _isr = new uint[8];
    private readonly uint[] _tmr = new uint[8];
    private readonly uint[] _lvt = new uint[6];
    private uint _id;
    private uint _tpr;
    private uint _spurious;
    private uint _logical;
    private uint _format;
    private uint _errors;
    private ulong _icr;

    public LocalApic(SoftVcpu vcpu, uint id, bool bsp)
    {
        _vcpu = vcpu;
        _bsp = bsp;
        InitialId = id;
        BaseMsr = 0xfee0_0000 | BaseEnable | (bsp ? BaseBsp : 0);
        Initialize();
    }

    public uint InitialId { get; }

    /// <summary>IA32_APIC_BASE.</summary>
    public ulong BaseMsr { get; private set; }

    /// <summary>The 8259 pair's output, wired to LINT0.</summary>
    public volatile bool PicOutput;

    public bool IsX2 => (BaseMsr & (BaseEnable | BaseX2)) == (BaseEnable | BaseX2);

    private bool IsEnabled => (BaseMsr & BaseEnable) != 0;

    private bool IsSoftwareEnabled => (_spurious & 0x100) != 0;

    /// <summary>CR8.</summary>
    public byte TaskPriorityClass
    {
        get => (byte)(_tpr >> 4);
        set => _tpr = (uint)value << 4;
    }

    /// <summary>State after INIT: everything but the id and the base.</summary>
    public void Initialize()
    {
        Array.Clear(_irr);
        Array.Clear(_isr);
        Array.Clear(_tmr);
        Array.Fill(_lvt, LvtMasked);
        _id = InitialId;
        _tpr = 0;
        _spurious = 0xff;
        _logical = 0;
        _format = uint.MaxValue;
        _errors = 0;
        _icr = 0;
        StopTimer();
        _divide = 0;
    }

    /// <summary>Writes IA32_APIC_BASE; false for transitions that do not exist (SDM vol. 3 §11.12.5).</summary>
    public bool WriteBase(ulong value)
    {
        ulong known = _vcpu.AddressMask | BaseEnable | BaseX2 | BaseBsp;
        ulong mode = value & (BaseEnable | BaseX2);
        ulong old = BaseMsr & (BaseEnable | BaseX2);
        if ((value & ~known) != 0 || mode == BaseX2 || (old == 0 && mode == (BaseEnable | BaseX2)) || (IsX2 && mode == BaseEnable))
        {
            return false;
        }

        BaseMsr = (value & ~BaseBsp) | (_bsp ? BaseBsp : 0);
        if (mode == 0 && old != 0)
        {
            Initialize();
        }

        return true;
    }

    /// <summary>Does a physical address belong to the register page?</summary>
    public bool Owns(ulong gpa) => IsEnabled && !IsX2 && ((gpa ^ BaseMsr) & 0x000f_ffff_ffff_f000) == 0;

    /// <summary>Posts an interrupt. Any thread.</summary>
    public void Post(int vector, bool level)
    {
        if (vector < 16 || !IsEnabled || !IsSoftwareEnabled)
        {
            return;
        }

        uint bit = 1u << (vector & 31);
        if (level)
        {
            Interlocked.Or(ref _tmr[vector >> 5], bit);
        }
        else
        {
            Interlocked.And(ref _tmr[vector >> 5], ~bit);
        }

        Interlocked.Or(ref _irr[vector >> 5], bit);
        _vcpu.RaiseAttention(Core.AttentionBits.Interrupt);
    }

    /// <summary>Is there an interrupt that the processor would take now, were IF set?</summary>
    public bool HasInterrupt()
    {
        int vector = Highest(_irr);
        return (vector >= 0 && IsSoftwareEnabled && (uint)vector >> 4 > ProcessorPriority() >> 4) || (PicOutput && AcceptsPic());
    }

    /// <summary>Takes the interrupt: its vector, or -1 when there is none after all.</summary>
    public int Acknowledge()
    {
        if (PicOutput && AcceptsPic())
        {
            return _vcpu.AcknowledgePic();
        }

        int vector = Highest(_irr);
        if (vector < 0 || (uint)vector >> 4 <= ProcessorPriority() >> 4)
        {
            return -1;
        }

        Interlocked.And(ref _irr[vector >> 5], ~(1u << (vector & 31)));
        _isr[vector >> 5] |= 1u << (vector & 31);
        return vector;
    }

    /// <summary>LINT0 passes the PIC on when the APIC is off, or when it is programmed as ExtINT and not masked.</summary>
    private bool AcceptsPic() => !IsEnabled || (_lvt[LvtLint0] & (LvtMasked | 0x700)) == 0x700;

    private uint ProcessorPriority()
    {
        int inService = Highest(_isr);
        uint service = inService < 0 ? 0 : (uint)inService & 0xf0;
        return (_tpr & 0xf0) >= service ? _tpr : service;
    }

    private static int Highest(uint[] bits)
    {
        for (int i = 7; i >= 0; i--)
        {
            uint word = Volatile.Read(ref bits[i]);
            if (word != 0)
            {
                return (i * 32) + BitOperations.Log2(word);
            }
        }

        return -1;
    }

    private void EndOfInterrupt()
    {
        int vector = Highest(_isr);
        if (vector < 0)
        {
            return;
        }

        uint bit = 1u << (vector & 31);
        _isr[vector >> 5] &= ~bit;
        if ((Volatile.Read(ref _tmr[vector >> 5]) & bit) != 0 && (_spurious & SpuriousNoBroadcast) == 0)
        {
            _vcpu.EndOfInterrupt((byte)vector);
        }

        _vcpu.RaiseAttention(Core.AttentionBits.Interrupt);
    }

    /// <summary>Is this processor meant by a destination? (SDM vol. 3 §11.6.2)</summary>
    public bool Matches(uint destination, bool logical, bool wide)
    {
        if (!logical)
        {
            uint own = IsX2 ? InitialId : _id;
            return destination == (wide ? uint.MaxValue : 0xffu) || destination == own;
        }

        if (IsX2)
        {
            uint id = LogicalX2;
            return destination == uint.MaxValue || (destination >> 16 == id >> 16 && (destination & id & 0xffff) != 0)
                || (!wide && destination == 0xff);
        }

        uint mask = _logical >> 24;
        return _format >> 28 == 15
            ? (destination & mask & 0xff) != 0
            : (destination & 0xf0) == (mask & 0xf0) && (destination & mask & 15) != 0;
    }

    private uint LogicalX2 => ((InitialId >> 4) << 16) | (1u << (int)(InitialId & 15));
}
