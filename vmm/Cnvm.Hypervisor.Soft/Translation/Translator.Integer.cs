using Cnvm.Hypervisor.Soft.Core;
using Cnvm.Hypervisor.Soft.Ops;
using Iced.Intel;
using unsafe Fn = delegate*<Cnvm.Hypervisor.Soft.Core.Cpu*, Cnvm.Hypervisor.Soft.Core.Op*, nint>;

namespace Cnvm.Hypervisor.Soft.Translation;

/// <summary>Integer arithmetic and moves.</summary>
internal sealed unsafe partial class Translator
{
    private static Fn Alu(Mnemonic m, AluForm form, int size) =>
        m switch
        {
            Mnemonic.Add => AluForms.Get<AddOp>(form, size),
            Mnemonic.Sub => AluForms.Get<SubOp>(form, size),
            Mnemonic.And => AluForms.Get<AndOp>(form, size),
            Mnemonic.Or => AluForms.Get<OrOp>(form, size),
            Mnemonic.Xor => AluForms.Get<XorOp>(form, size),
            Mnemonic.Adc => AluForms.Get<AdcOp>(form, size),
            Mnemonic.Sbb => AluForms.Get<SbbOp>(form, size),
            Mnemonic.Cmp => AluForms.Get<CmpOp>(form, size),
            _ => AluForms.Get<TestOp>(form, size),
        };

    private void EmitAlu()
    {
        Mnemonic m = _i.Mnemonic;
        int size = SizeOf(0);
        if (IsRegister(0))
        {
            Op* o;
            if (IsMemory(1))
            {
                o = AddMemory(Alu(m, AluForm.RegMem, size), size, write: false);
            }
            else if (IsRegister(1))
            {
                o = Add(Alu(m, AluForm.RegReg, size));
                o->Src = Offset(_i.Op1Register);
            }
            else
            {
                o = Add(Alu(m, AluForm.RegImm, size));
                o->Imm = (long)_i.GetImmediate(1);
            }

            o->Dst = Offset(_i.Op0Register);
        }
        else
        {
            bool writes = m is not (Mnemonic.Cmp or Mnemonic.Test);
            bool reg = IsRegister(1);
            AluForm form = _i.HasLockPrefix
                ? reg ? AluForm.LockedReg : AluForm.LockedImm
                : reg ? AluForm.MemReg : AluForm.MemImm;
            Op* o = AddMemory(Alu(m, form, size), size, writes);
            if (reg)
            {
                o->Src = Offset(_i.Op1Register);
            }
            else
            {
                o->Imm = (long)_i.GetImmediate(1);
            }
        }

        _flags = m switch
        {
            Mnemonic.Sub or Mnemonic.Cmp => FlagSource.Sub,
            Mnemonic.And or Mnemonic.Or or Mnemonic.Xor or Mnemonic.Test => FlagSource.Logic,
            _ => FlagSource.Unknown,
        };
    }

    private void EmitUnary()
    {
        int size = SizeOf(0);
        UnaryForm form = IsRegister(0) ? UnaryForm.Register : _i.HasLockPrefix ? UnaryForm.Locked : UnaryForm.Memory;
        Fn fn = _i.Mnemonic switch
        {
            Mnemonic.Inc => UnaryForms.Get<IncOp>(form, size),
            Mnemonic.Dec => UnaryForms.Get<DecOp>(form, size),
            Mnemonic.Neg => UnaryForms.Get<NegOp>(form, size),
            _ => UnaryForms.Get<NotOp>(form, size),
        };
        if (IsRegister(0))
        {
            Add(fn)->Dst = Offset(_i.Op0Register);
        }
        else
        {
            AddMemory(fn, size, write: true);
        }

        _flags = _i.Mnemonic == Mnemonic.Neg ? FlagSource.Sub : FlagSource.Unknown;
    }

    private void EmitMov()
    {
        if (IsRegister(0) && _i.Op0Register.IsSegmentRegister())
        {
            EmitLoadSegment();
            return;
        }

        if (IsRegister(1) && _i.Op1Register.IsSegmentRegister())
        {
            EmitStoreSegment(SegmentNumber(_i.Op1Register));
            return;
        }

        if ((IsRegister(0) && _i.Op0Register.IsCR()) || (IsRegister(1) && _i.Op1Register.IsCR()))
        {
            EmitControlMove();
            return;
        }

        if ((IsRegister(0) && _i.Op0Register.IsDR()) || (IsRegister(1) && _i.Op1Register.IsDR()))
        {
            EmitDebugMove();
            return;
        }

        int size = SizeOf(0);
        if (IsRegister(0))
        {
            Op* o;
            if (IsRegister(1))
            {
                o = Add(BySize(size, &MoveOps.RegReg<byte>, &MoveOps.RegReg<ushort>, &MoveOps.RegReg<uint>, &MoveOps.RegReg<ulong>));
                o->Src = Offset(_i.Op1Register);
            }
            else if (IsMemory(1))
            {
                PrepareAddress(size, write: false);
                o = Add(IsPlainAddress
                    ? BySize(size, &MoveOps.LoadBase<byte>, &MoveOps.LoadBase<ushort>, &MoveOps.LoadBase<uint>, &MoveOps.LoadBase<ulong>)
                    : BySize(
                        size,
                        &MemoryForms.Load<MoveOps.LoadReg<byte>, byte>,
                        &MemoryForms.Load<MoveOps.LoadReg<ushort>, ushort>,
                        &MemoryForms.Load<MoveOps.LoadReg<uint>, uint>,
                        &MemoryForms.Load<MoveOps.LoadReg<ulong>, ulong>));
                SetAddress(o);
            }
            else
            {
                o = Add(BySize(size, &MoveOps.RegImm<byte>, &MoveOps.RegImm<ushort>, &MoveOps.RegImm<uint>, &MoveOps.RegImm<ulong>));
                o->Imm = (long)_i.GetImmediate(1);
            }

            o->Dst = Offset(_i.Op0Register);
            return;
        }

        PrepareAddress(size, write: true);
        if (IsRegister(1))
        {
            Op* o = Add(IsPlainAddress
                ? BySize(size, &MoveOps.StoreBase<byte>, &MoveOps.StoreBase<ushort>, &MoveOps.StoreBase<uint>, &MoveOps.StoreBase<ulong>)
                : BySize(
                    size,
                    &MemoryForms.Store<MoveOps.StoreReg<byte>, byte>,
                    &MemoryForms.Store<MoveOps.StoreReg<ushort>, ushort>,
                    &MemoryForms.Store<MoveOps.StoreReg<uint>, uint>,
                    &MemoryForms.Store<MoveOps.StoreReg<ulong>, ulong>));
            SetAddress(o);
            o->Src = Offset(_i.Op1Register);
        }
        else
        {
            Op* o = Add(BySize(
                size,
                &MemoryForms.Store<MoveOps.StoreImm<byte>, byte>,
                &MemoryForms.Store<MoveOps.StoreImm<ushort>, ushort>,
                &MemoryForms.Store<MoveOps.StoreImm<uint>, uint>,
                &MemoryForms.Store<MoveOps.StoreImm<ulong>, ulong>));
            SetAddress(o);
            o->Imm = (long)_i.GetImmediate(1);
        }
    }

    /// <summary>MOVZX, MOVSX, MOVSXD.</summary>
    private void EmitExtend()
    {
        int to = SizeOf(0);
        int from = SizeOf(1);
        bool memory = IsMemory(1);
        bool sign = _i.Mnemonic != Mnemonic.Movzx;
        Fn fn = sign
            ? from switch
            {
                1 => memory ? ExtendLoad<byte, Signed>(to) : ExtendReg<byte, Signed>(to),
                2 => memory ? ExtendLoad<ushort, Signed>(to) : ExtendReg<ushort, Signed>(to),
                _ => memory ? ExtendLoad<uint, Signed>(to) : ExtendReg<uint, Signed>(to),
            }
            : from == 1
                ? memory ? ExtendLoad<byte, Unsigned>(to) : ExtendReg<byte, Unsigned>(to)
                : memory ? ExtendLoad<ushort, Unsigned>(to) : ExtendReg<ushort, Unsigned>(to);
        Op* o = memory ? AddMemory(fn, from, write: false) : Add(fn);
        if (!memory)
        {
            o->Src = Offset(_i.Op1Register);
        }

        o->Dst = Offset(_i.Op0Register);
    }

    private static Fn ExtendReg<TFrom, TSign>(int to)
        where TFrom : unmanaged
        where TSign : struct, ISignedness =>
        to switch
        {
            2 => &MoveOps.ExtendReg<TFrom, ushort, TSign>,
            4 => &MoveOps.ExtendReg<TFrom, uint, TSign>,
            _ => &MoveOps.ExtendReg<TFrom, ulong, TSign>,
        };

    private static Fn ExtendLoad<TFrom, TSign>(int to)
        where TFrom : unmanaged
        where TSign : struct, ISignedness =>
        to switch
        {
            2 => &MemoryForms.Load<MoveOps.LoadExtend<TFrom, ushort, TSign>, TFrom>,
            4 => &MemoryForms.Load<MoveOps.LoadExtend<TFrom, uint, TSign>, TFrom>,
            _ => &MemoryForms.Load<MoveOps.LoadExtend<TFrom, ulong, TSign>, TFrom>,
        };

    private void EmitLea()
    {
        int size = SizeOf(0);
        PrepareAddress(0, write: false, noCheck: true);
        Op* o = Add(BySize(size, &MoveOps.Lea<byte>, &MoveOps.Lea<ushort>, &MoveOps.Lea<uint>, &MoveOps.Lea<ulong>));
        SetAddress(o);
        o->Seg = Cpu.ZeroSlot;
        o->Dst = Offset(_i.Op0Register);
    }

    private void EmitXchg()
    {
        int size = SizeOf(0);
        if (IsRegister(0) && IsRegister(1))
        {
            Op* o = Add(BySize(size, &MoveOps.XchgReg<byte>, &MoveOps.XchgReg<ushort>, &MoveOps.XchgReg<uint>, &MoveOps.XchgReg<ulong>));
            o->Dst = Offset(_i.Op0Register);
            o->Src = Offset(_i.Op1Register);
            return;
        }

        // XCHG with memory is locked with or without the prefix.
        Op* m = AddMemory(
            BySize(
                size,
                &MemoryForms.Locked<MoveOps.Exchange<byte>, byte>,
                &MemoryForms.Locked<MoveOps.Exchange<ushort>, ushort>,
                &MemoryForms.Locked<MoveOps.Exchange<uint>, uint>,
                &MemoryForms.Locked<MoveOps.Exchange<ulong>, ulong>),
            size,
            write: true);
        m->Src = Offset(IsRegister(0) ? _i.Op0Register : _i.Op1Register);
    }

    /// <summary>XADD and CMPXCHG.</summary>
    private void EmitExchangeArithmetic()
    {
        int size = SizeOf(0);
        bool xadd = _i.Mnemonic == Mnemonic.Xadd;
        Op* o;
        if (IsRegister(0))
        {
            o = Add(xadd
                ? BySize(size, &MoveOps.XaddReg<byte>, &MoveOps.XaddReg<ushort>, &MoveOps.XaddReg<uint>, &MoveOps.XaddReg<ulong>)
                : BySize(size, &MoveOps.CmpxchgReg<byte>, &MoveOps.CmpxchgReg<ushort>, &MoveOps.CmpxchgReg<uint>, &MoveOps.CmpxchgReg<ulong>));
            o->Dst = Offset(_i.Op0Register);
        }
        else
        {
            bool locked = _i.HasLockPrefix;
            Fn fn = size switch
            {
                1 => ExchangeMemory<byte>(xadd, locked),
                2 => ExchangeMemory<ushort>(xadd, locked),
                4 => ExchangeMemory<uint>(xadd, locked),
                _ => ExchangeMemory<ulong>(xadd, locked),
            };
            o = AddMemory(fn, size, write: true);
        }

        o->Src = Offset(_i.Op1Register);
    }

    private static Fn ExchangeMemory<T>(bool xadd, bool locked)
        where T : unmanaged, System.Numerics.IBinaryInteger<T> =>
        xadd
            ? locked ? &MemoryForms.Locked<MoveOps.ExchangeAdd<T>, T> : &MemoryForms.Rmw<MoveOps.ExchangeAdd<T>, T>
            : locked ? &MemoryForms.Locked<MoveOps.CompareExchange<T>, T> : &MemoryForms.Rmw<MoveOps.CompareExchange<T>, T>;

    private void EmitShift(ShiftKind kind)
    {
        int size = SizeOf(0);
        bool two = kind >= ShiftKind.Shld;
        int countOperand = two ? 2 : 1;
        bool byCl = IsRegister(countOperand);
        ushort destination = OpenDestination(size);
        Op* o = Add(size switch
        {
            1 => ShiftOps.Get<byte>(kind, byCl),
            2 => ShiftOps.Get<ushort>(kind, byCl),
            4 => ShiftOps.Get<uint>(kind, byCl),
            _ => ShiftOps.Get<ulong>(kind, byCl),
        });
        o->Dst = destination;
        o->Src = two ? Offset(_i.Op1Register) : (ushort)0;
        o->Imm = byCl ? 0 : (long)_i.GetImmediate(countOperand);
        CloseDestination(size);
    }

    private void EmitMulDiv()
    {
        int operands = _i.OpCount;
        if (operands == 1)
        {
            int size = SizeOf(0);
            ushort source = Source(0, size);
            Op* o = Add(_i.Mnemonic switch
            {
                Mnemonic.Mul => BySize(size, &MultiplyOps.Mul<byte>, &MultiplyOps.Mul<ushort>, &MultiplyOps.Mul<uint>, &MultiplyOps.Mul<ulong>),
                Mnemonic.Imul => BySize(size, &MultiplyOps.Imul<byte>, &MultiplyOps.Imul<ushort>, &MultiplyOps.Imul<uint>, &MultiplyOps.Imul<ulong>),
                Mnemonic.Div => BySize(size, &MultiplyOps.Div<byte>, &MultiplyOps.Div<ushort>, &MultiplyOps.Div<uint>, &MultiplyOps.Div<ulong>),
                _ => BySize(size, &MultiplyOps.Idiv<byte>, &MultiplyOps.Idiv<ushort>, &MultiplyOps.Idiv<uint>, &MultiplyOps.Idiv<ulong>),
            });
            o->Src = source;
            return;
        }

        int width = SizeOf(0);
        ushort from = Source(1, width);
        Op* m = operands == 2
            ? Add(BySize(width, &MultiplyOps.ImulReg<byte>, &MultiplyOps.ImulReg<ushort>, &MultiplyOps.ImulReg<uint>, &MultiplyOps.ImulReg<ulong>))
            : Add(BySize(width, &MultiplyOps.ImulImm<byte>, &MultiplyOps.ImulImm<ushort>, &MultiplyOps.ImulImm<uint>, &MultiplyOps.ImulImm<ulong>));
        m->Src = from;
        m->Dst = Offset(_i.Op0Register);
        m->Imm = operands == 3 ? (long)_i.GetImmediate(2) : 0;
    }

    private void EmitCmov()
    {
        int size = SizeOf(0);
        ushort source = Source(1, size);
        Op* o = Add(BySize(size, &MoveOps.Cmov<byte>, &MoveOps.Cmov<ushort>, &MoveOps.Cmov<uint>, &MoveOps.Cmov<ulong>));
        o->Src = source;
        o->Dst = Offset(_i.Op0Register);
        o->Imm = ConditionNumber(_i.ConditionCode);
    }

    private void EmitSetcc()
    {
        Op* o;
        if (IsRegister(0))
        {
            o = Add(&MoveOps.Setcc);
            o->Dst = Offset(_i.Op0Register);
            o->Imm = ConditionNumber(_i.ConditionCode);
            return;
        }

        o = Add(&MoveOps.Setcc);
        o->Dst = Cpu.Temp0;
        o->Imm = ConditionNumber(_i.ConditionCode);
        StoreTemp(1);
    }

    /// <summary>Condition number as the opcode has it, from the decoder's enumeration.</summary>
    private static int ConditionNumber(ConditionCode cc) =>
        cc switch
        {
            ConditionCode.o => 0,
            ConditionCode.no => 1,
            ConditionCode.b => 2,
            ConditionCode.ae => 3,
            ConditionCode.e => 4,
            ConditionCode.ne => 5,
            ConditionCode.be => 6,
            ConditionCode.a => 7,
            ConditionCode.s => 8,
            ConditionCode.ns => 9,
            ConditionCode.p => 10,
            ConditionCode.np => 11,
            ConditionCode.l => 12,
            ConditionCode.ge => 13,
            ConditionCode.le => 14,
            _ => 15,
        };
}
