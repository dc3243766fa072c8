using Cnvm.Hypervisor.Soft.Core;
using Cnvm.Hypervisor.Soft.Ops;
using Iced.Intel;
using unsafe Fn = delegate*<Cnvm.Hypervisor.Soft.Core.Cpu*, Cnvm.Hypervisor.Soft.Core.Op*, nint>;

namespace Cnvm.Hypervisor.Soft.Translation;

/// <summary>Control transfer, stack, strings.</summary>
internal sealed unsafe partial class Translator
{
    /// <summary>Operand size of near branches: 16-bit code or a 66 prefix gives 2.</summary>
    private int BranchSize => Is64 ? 8 : _i.Op0Kind == OpKind.NearBranch16 ? 2 : 4;

    private bool IsInPage(ulong target) => _chainable && target < _pageEnd && target >= _pageEnd - 0x1000;

    /// <summary>False when a 64-bit target is too far for the displacement field: the instruction then ends in a register jump.</summary>
    private bool Near(ulong target, out int disp)
    {
        long d = (long)(target - _blockRip);
        disp = (int)d;
        return d == disp;
    }

    private void EmitJmp()
    {
        _ended = true;
        if (IsMemory(0) || IsRegister(0))
        {
            int size = Is64 ? 8 : SizeOf(0);
            ushort source = Source(0, size);
            Op* r = Add(Is64 ? &BranchOps.JumpReg : &StackOps.JumpRegLegacy);
            r->Src = source;
            r->Scale = (byte)size;
            return;
        }

        ulong target = _i.NearBranchTarget;
        if (!Is64)
        {
            Op* l = Add(&BranchOps.JumpLegacy);
            l->Disp = (int)(target - _blockRip);
            l->Src = (ushort)BranchSize;
            return;
        }

        if (!Near(target, out int disp))
        {
            EmitFarTarget(target);
            Add(&BranchOps.JumpReg)->Src = Cpu.AddressSlot;
            return;
        }

        Add(IsInPage(target) ? &BranchOps.Jump : &BranchOps.JumpFar)->Disp = disp;
    }

    private void EmitFarTarget(ulong target)
    {
        Op* o = Add(&TempOps.WideAddress);
        o->Base = Cpu.RipSlot;
        o->Imm = (long)(target - _blockRip);
    }

    private void EmitJcc(FlagSource source)
    {
        int cc = ConditionNumber(_i.ConditionCode);
        ulong target = _i.NearBranchTarget;
        // Flags stay as they are on the way that is not taken.
        _flags = source;
        if (!Is64 || !Near(target, out int disp))
        {
            Op* l = Add(&BranchOps.JccLegacy);
            l->Disp = (int)(target - _blockRip);
            l->Src = (ushort)BranchSize;
            l->Imm = cc;
            return;
        }

        Op* o = Add(Conditions.Jcc(cc, source));
        o->Disp = disp;
        o->Dst = IsInPage(target) ? (ushort)0 : (ushort)1;
    }

    private void EmitLoop(int kind)
    {
        Op* o = Add(&BranchOps.Loop);
        o->Disp = (int)(_i.NearBranchTarget - _blockRip);
        o->Dst = (ushort)BranchSize;
        o->Imm = kind;
        o->Src = _i.Code switch
        {
            Code.Loop_rel8_16_RCX or Code.Loop_rel8_64_RCX or Code.Loope_rel8_16_RCX or Code.Loope_rel8_64_RCX
                or Code.Loopne_rel8_16_RCX or Code.Loopne_rel8_64_RCX or Code.Jrcxz_rel8_16 or Code.Jrcxz_rel8_64 => 8,
            Code.Loop_rel8_16_CX or Code.Loop_rel8_32_CX or Code.Loope_rel8_16_CX or Code.Loope_rel8_32_CX
                or Code.Loopne_rel8_16_CX or Code.Loopne_rel8_32_CX or Code.Jcxz_rel8_16 or Code.Jcxz_rel8_32 => 2,
            _ => 4,
        };
    }

    private void EmitCall()
    {
        _ended = true;
        if (IsMemory(0) || IsRegister(0))
        {
            int size = Is64 ? 8 : SizeOf(0);
            ushort source = Source(0, size);
            Op* r = Add(Is64 ? &BranchOps.CallReg : &StackOps.CallLegacy);
            r->Src = source;
            r->Scale = (byte)size;
            r->Imm = Is64 ? 0 : 1;
            return;
        }

        ulong target = _i.NearBranchTarget;
        if (!Is64)
        {
            Op* l = Add(&StackOps.CallLegacy);
            l->Disp = (int)(target - _blockRip);
            l->Scale = (byte)BranchSize;
            return;
        }

        if (!Near(target, out int disp))
        {
            EmitFarTarget(target);
            Add(&BranchOps.CallReg)->Src = Cpu.AddressSlot;
            return;
        }

        Op* o = Add(&BranchOps.Call);
        o->Disp = disp;
        o->Dst = IsInPage(target) ? (ushort)0 : (ushort)1;
    }

    private void EmitRet()
    {
        _ended = true;
        Op* o = Add(Is64 ? &BranchOps.Ret : &StackOps.RetLegacy);
        o->Scale = (byte)(_i.Code is Code.Retnw or Code.Retnw_imm16 ? 2 : 4);
        if (Is64 && o->Scale == 2)
        {
            o->Fn = &StackOps.RetLegacy;
        }

        o->Imm = _i.OpCount == 1 ? (long)_i.GetImmediate(0) : 0;
    }

    private int StackOperandSize() => Math.Abs(_i.StackPointerIncrement);

    private void EmitPush()
    {
        int size = StackOperandSize();
        if (IsRegister(0) && _i.Op0Register.IsSegmentRegister())
        {
            Op* s = Add(&StackOps.PushSegment);
            s->Src = (ushort)SegmentNumber(_i.Op0Register);
            s->Scale = (byte)size;
            return;
        }

        if (!IsRegister(0) && !IsMemory(0))
        {
            Op* i = Add(&StackOps.PushImm);
            i->Imm = (long)_i.GetImmediate(0);
            i->Scale = (byte)size;
            return;
        }

        ushort source = Source(0, size);
        Op* o = Add(Is64 && size == 8 ? &StackOps.PushReg64 : &StackOps.PushReg);
        o->Src = source;
        o->Scale = (byte)size;
    }

    private void EmitPop()
    {
        int size = StackOperandSize();
        if (IsRegister(0) && _i.Op0Register.IsSegmentRegister())
        {
            int segment = SegmentNumber(_i.Op0Register);
            Op* s = Add(&DescriptorOps.PopSegment);
            s->Dst = (ushort)segment;
            s->Scale = (byte)size;
            EndAfterSegment(s, segment);
            return;
        }

        if (IsMemory(0))
        {
            if (Is64 && AddressSize() == 8)
            {
                AddMemory(&StackOps.PopMemory, size, write: true)->Imm = size;
            }
            else
            {
                EmitPopLegacy(size);
            }

            return;
        }

        Op* o = Add(Is64 && size == 8 ? &StackOps.PopReg64 : &StackOps.PopReg);
        o->Dst = Offset(_i.Op0Register);
        o->Scale = (byte)size;
    }

    /// <summary>POP m where the address takes an operation of its own: the address must see the raised stack pointer.</summary>
    private void EmitPopLegacy(int size)
    {
        Op* raise = Add(&LegacyPopBegin);
        raise->Imm = size;
        PrepareAddress(size, write: true);
        Op* o = Add(&LegacyPopEnd);
        SetAddress(o);
        o->Imm = size;
    }

    private static nint LegacyPopBegin(Cpu* c, Op* op)
    {
        Operand.R(c, Cpu.StackSlot, c->R[4]);
        if (!StackOps.Pop(c, (int)op->Imm))
        {
            return Operand.Fault(c, op);
        }

        Operand.R(c, Cpu.Temp0, c->Data[0]);
        return op[1].Fn(c, op + 1);
    }

    private static nint LegacyPopEnd(Cpu* c, Op* op)
    {
        c->Data[0] = Operand.R(c, Cpu.Temp0);
        if (!Memory.Mmu.Write(c, Operand.Address(c, op), (int)op->Imm))
        {
            c->R[4] = Operand.R(c, Cpu.StackSlot);
            return Operand.Fault(c, op);
        }

        return op[1].Fn(c, op + 1);
    }

    private void EmitString(Fn fn, int size)
    {
        Op* o = Add(fn);
        o->Dst = (ushort)size;
        OpKind destination = _i.Op0Kind;
        OpKind source = _i.OpCount > 1 ? _i.Op1Kind : destination;
        bool any(OpKind a, OpKind b) => destination == a || source == a || destination == b || source == b;
        o->Src = any(OpKind.MemorySegRSI, OpKind.MemoryESRDI) ? (ushort)8 : any(OpKind.MemorySegESI, OpKind.MemoryESEDI) ? (ushort)4 : (ushort)2;
        Register segment = _i.MemorySegment;
        int number = segment == Register.None ? Segments.DS : SegmentNumber(segment);
        o->Seg = Is64 && segment is not (Register.FS or Register.GS) ? Cpu.ZeroSlot : (byte)(Cpu.SegmentSlot + (number * 8));
        o->Base = (byte)number;
        o->Scale = Is64 ? (byte)0 : (byte)1;
        o->Imm = _i.HasRepnePrefix ? 2 : _i.HasRepePrefix ? 1 : 0;
        o->Index = Cpu.ZeroSlot;
    }
}
