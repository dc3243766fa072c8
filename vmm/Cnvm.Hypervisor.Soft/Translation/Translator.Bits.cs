using System.Numerics;
using Cnvm.Hypervisor.Soft.Core;
using Cnvm.Hypervisor.Soft.Ops;
using Iced.Intel;
using unsafe Fn = delegate*<Cnvm.Hypervisor.Soft.Core.Cpu*, Cnvm.Hypervisor.Soft.Core.Op*, nint>;

namespace Cnvm.Hypervisor.Soft.Translation;

/// <summary>Bit instructions, BMI, ADX, MOVBE, CRC32, CMPXCHG8B/16B.</summary>
internal sealed unsafe partial class Translator
{
    private void EmitBitTest<TBit>()
        where TBit : struct, IBitChange
    {
        int size = SizeOf(0);
        switch (size)
        {
            case 2:
                EmitBitTest<ushort, TBit>(size);
                break;
            case 4:
                EmitBitTest<uint, TBit>(size);
                break;
            default:
                EmitBitTest<ulong, TBit>(size);
                break;
        }
    }

    private void EmitBitTest<T, TBit>(int size)
        where T : unmanaged, IBinaryInteger<T>
        where TBit : struct, IBitChange
    {
        bool byReg = IsRegister(1);
        Op* o;
        if (IsRegister(0))
        {
            o = Add(byReg ? &BitOps.Test<T, TBit> : &BitOps.TestImm<T, TBit>);
            o->Dst = Offset(_i.Op0Register);
        }
        else
        {
            if (byReg)
            {
                Op* a = AddMemory(&BitOps.BitAddress<T>, size, TBit.Writes);
                a->Src = Offset(_i.Op1Register);
                _addressInSlot = true;
            }
            else
            {
                PrepareAddress(size, TBit.Writes);
            }

            if (!TBit.Writes)
            {
                o = Add(BySize(
                    size,
                    &MemoryForms.Load<TempOps.LoadTemp<byte>, byte>,
                    &MemoryForms.Load<TempOps.LoadTemp<ushort>, ushort>,
                    &MemoryForms.Load<TempOps.LoadTemp<uint>, uint>,
                    &MemoryForms.Load<TempOps.LoadTemp<ulong>, ulong>));
                SetAddress(o);
                o->Dst = Cpu.Temp0;
                o = Add(byReg ? &BitOps.Test<T, TBit> : &BitOps.TestImm<T, TBit>);
                o->Dst = Cpu.Temp0;
            }
            else if (byReg)
            {
                o = Add(_i.HasLockPrefix
                    ? &MemoryForms.Locked<BitOps.ChangeByReg<T, TBit>, T>
                    : &MemoryForms.Rmw<BitOps.ChangeByReg<T, TBit>, T>);
                SetAddress(o);
            }
            else
            {
                o = Add(_i.HasLockPrefix
                    ? &MemoryForms.Locked<BitOps.ChangeByImm<T, TBit>, T>
                    : &MemoryForms.Rmw<BitOps.ChangeByImm<T, TBit>, T>);
                SetAddress(o);
            }
        }

        if (byReg)
        {
            o->Src = Offset(_i.Op1Register);
        }
        else
        {
            o->Imm = (long)_i.GetImmediate(1);
        }
    }

    /// <summary>Two-operand scans and counts: register from register or memory.</summary>
    private void EmitScan(Fn w, Fn d, Fn q)
    {
        int size = SizeOf(0);
        ushort source = Source(1, size);
        Op* o = Add(BySize(size, w, w, d, q));
        o->Src = source;
        o->Dst = Offset(_i.Op0Register);
    }

    /// <param name="first">Operand index of the first source; -1 for none.</param>
    /// <param name="second">Operand index of the second source, which may be memory.</param>
    private void EmitBmi<TBmi>(int first, int second)
        where TBmi : struct, IBmi
    {
        int size = SizeOf(0);
        // The operand that may be memory is either of the sources.
        ushort a = first < 0 ? Cpu.ZeroSlot : Source(first, size);
        ushort b = Source(second, size);
        Op* o = Add(size == 4 ? &BitOps.Bmi<uint, TBmi> : &BitOps.Bmi<ulong, TBmi>);
        o->Base = (byte)a;
        o->Src = b;
        o->Dst = Offset(_i.Op0Register);
    }

    private void EmitRorx()
    {
        int size = SizeOf(0);
        ushort source = Source(1, size);
        Op* o = Add(size == 4 ? &BitOps.Rorx<uint> : &BitOps.Rorx<ulong>);
        o->Src = source;
        o->Dst = Offset(_i.Op0Register);
        o->Imm = (long)_i.GetImmediate(2);
    }

    private void EmitMulx()
    {
        int size = SizeOf(0);
        ushort source = Source(2, size);
        Op* o = Add(size == 4 ? &BitOps.Mulx32 : &BitOps.Mulx64);
        o->Src = source;
        o->Base = (byte)Offset(_i.Op1Register);
        o->Dst = Offset(_i.Op0Register);
    }

    private void EmitAddCarry(int overflow)
    {
        int size = SizeOf(0);
        ushort source = Source(1, size);
        Op* o = Add(size == 4 ? &BitOps.AddCarry<uint> : &BitOps.AddCarry<ulong>);
        o->Src = source;
        o->Dst = Offset(_i.Op0Register);
        o->Imm = overflow;
    }

    private void EmitCrc32()
    {
        int size = SizeOf(1);
        ushort source = Source(1, size);
        Op* o = Add(&BitOps.Crc32);
        o->Src = source;
        o->Dst = Offset(_i.Op0Register);
        o->Imm = size;
    }

    private void EmitRandom()
    {
        int size = SizeOf(0);
        Add(BySize(size, &BitOps.Random<ushort>, &BitOps.Random<ushort>, &BitOps.Random<uint>, &BitOps.Random<ulong>))->Dst
            = Offset(_i.Op0Register);
    }

    private void EmitMovbe()
    {
        if (IsRegister(0))
        {
            int size = SizeOf(0);
            Op* o = AddMemory(
                BySize(
                    size,
                    &MemoryForms.Load<MoveOps.LoadSwapped<ushort>, ushort>,
                    &MemoryForms.Load<MoveOps.LoadSwapped<ushort>, ushort>,
                    &MemoryForms.Load<MoveOps.LoadSwapped<uint>, uint>,
                    &MemoryForms.Load<MoveOps.LoadSwapped<ulong>, ulong>),
                size,
                write: false);
            o->Dst = Offset(_i.Op0Register);
        }
        else
        {
            int size = SizeOf(1);
            Op* o = AddMemory(
                BySize(
                    size,
                    &MemoryForms.Store<MoveOps.StoreSwapped<ushort>, ushort>,
                    &MemoryForms.Store<MoveOps.StoreSwapped<ushort>, ushort>,
                    &MemoryForms.Store<MoveOps.StoreSwapped<uint>, uint>,
                    &MemoryForms.Store<MoveOps.StoreSwapped<ulong>, ulong>),
                size,
                write: true);
            o->Src = Offset(_i.Op1Register);
        }
    }

    private void EmitBswap()
    {
        int size = SizeOf(0);
        Add(BySize(size, &MoveOps.Bswap<ushort>, &MoveOps.Bswap<ushort>, &MoveOps.Bswap<uint>, &MoveOps.Bswap<ulong>))->Dst
            = Offset(_i.Op0Register);
    }

    private void EmitCompareExchangeWide(bool sixteen) =>
        AddMemory(
            sixteen ? &WideExchangeOps.Cmpxchg16b : &MemoryForms.Locked<WideExchangeOps.CompareExchange8, ulong>,
            sixteen ? 16 : 8,
            write: true);
}
