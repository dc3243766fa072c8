using Cnvm.Hypervisor.Soft.Core;
using Cnvm.Hypervisor.Soft.Fpu;
using Iced.Intel;
using unsafe VectorFn = delegate*<System.Runtime.Intrinsics.Vector128<byte>*, System.Runtime.Intrinsics.Vector128<byte>*, int, void>;

namespace Cnvm.Hypervisor.Soft.Translation;

/// <summary>MMX instructions.</summary>
internal sealed unsafe partial class Translator
{
    private static ushort Mm(Register r) => MmxOps.Register(r - Register.MM0);

    private bool IsMm(int operand) => IsRegister(operand) && _i.GetOpRegister(operand).IsMM();

    private bool EmitMmx()
    {
        int start = _count;
        bool first = _first;
        Add(&X87Ops.Wait);
        if (!TryEmitMmx())
        {
            _count = start;
            _first = first;
            return false;
        }

        if ((_mode & ModeBits.Fpu) == 0)
        {
            _count = start;
            _first = first;
            EmitRaise((_mode & ModeBits.TaskSwitched) != 0 ? Vectors.NM : Vectors.UD);
        }

        return true;
    }

    private bool TryEmitMmx()
    {
        Op* o;
        ushort source;
        switch (_i.Mnemonic)
        {
            case Mnemonic.Movd or Mnemonic.Movq or Mnemonic.Movntq or Mnemonic.Movdq2q or Mnemonic.Movq2dq:
                EmitMmxMove();
                return true;
            case Mnemonic.Pinsrw:
                source = IsRegister(1) ? Offset(_i.Op1Register) : Source(1, 2);
                o = Add(&MmxOps.Insert);
                o->Dst = Mm(_i.Op0Register);
                o->Src = source;
                o->Imm = (long)_i.GetImmediate(2) & 3;
                return true;
            case Mnemonic.Pextrw or Mnemonic.Pmovmskb:
                o = Add(&MmxOps.Extract);
                o->Dst = Offset(_i.Op0Register);
                o->Src = Mm(_i.Op1Register);
                o->Imm = _i.Mnemonic == Mnemonic.Pextrw ? (long)_i.GetImmediate(2) & 3 : -1;
                return true;
            case Mnemonic.Maskmovq:
                Add(&MmxOps.EnterMmx);
                EmitMaskedStore(Mm(_i.Op1Register), Mm(_i.Op2Register), 1, 8);
                return true;
            case Mnemonic.Cvtpi2ps or Mnemonic.Cvtpi2pd:
                source = IsMm(1) ? Mm(_i.Op1Register) : VectorSource(1);
                o = Add(&MmxOps.FromMmx);
                o->Dst = Xmm(_i.Op0Register);
                o->Src = source;
                o->Disp = _i.Mnemonic == Mnemonic.Cvtpi2ps ? 4 : 8;
                o->Imm = IsMm(1) ? 1 : 0;
                return true;
            case Mnemonic.Cvtps2pi or Mnemonic.Cvttps2pi or Mnemonic.Cvtpd2pi or Mnemonic.Cvttpd2pi:
                source = VectorSource(1);
                o = Add(&MmxOps.ToMmx);
                o->Dst = Mm(_i.Op0Register);
                o->Src = source;
                o->Disp = _i.Mnemonic is Mnemonic.Cvtps2pi or Mnemonic.Cvttps2pi ? 4 : 8;
                o->Imm = _i.Mnemonic is Mnemonic.Cvttps2pi or Mnemonic.Cvttpd2pi ? 1 : 0;
                return true;
            default:
                return IsMm(0) && EmitMmxArithmetic();
        }
    }

    private bool EmitMmxArithmetic()
    {
        bool immediate = _i.GetOpKind(_i.OpCount - 1) == OpKind.Immediate8;
        Mnemonic m = _i.Mnemonic;
        Mnemonic wide = m switch
        {
            Mnemonic.Punpckhbw => Mnemonic.Punpcklbw,
            Mnemonic.Punpckhwd => Mnemonic.Punpcklwd,
            Mnemonic.Punpckhdq => Mnemonic.Punpckldq,
            Mnemonic.Pshufw => Mnemonic.Pshuflw,
            _ => m,
        };
        VectorFn fn = immediate ? PackedImmediate.Find(wide) : PackedInteger.Find(wide);
        fn = fn == null && !immediate ? PackedIntegerMore.Find(wide) : fn;
        if (fn == null || (_i.OpCount > 1 && !immediate && !IsMm(1) && !IsMemory(1)))
        {
            return false;
        }

        bool twoSources = _i.OpCount == 3 || !immediate;
        ushort source = !twoSources ? Mm(_i.Op0Register) : IsMm(1) ? Mm(_i.Op1Register) : VectorSource(1);
        Op* o = Add(&MmxOps.Apply);
        o->Dst = Mm(_i.Op0Register);
        o->Src = source;
        o->Disp = immediate ? (int)_i.GetImmediate(_i.OpCount - 1) & 0xff : 0;
        o->Imm = (nint)fn;
        o->Scale = m switch
        {
            Mnemonic.Packsswb or Mnemonic.Packssdw or Mnemonic.Packuswb or Mnemonic.Phaddw or Mnemonic.Phaddd or Mnemonic.Phaddsw
                or Mnemonic.Phsubw or Mnemonic.Phsubd or Mnemonic.Phsubsw => MmxOps.Joined,
            Mnemonic.Punpckhbw or Mnemonic.Punpckhwd or Mnemonic.Punpckhdq => MmxOps.High,
            Mnemonic.Pshufb => MmxOps.Selector,
            Mnemonic.Palignr => MmxOps.Aligned,
            _ => MmxOps.Plain,
        };
        return true;
    }

    private void EmitMmxMove()
    {
        if (IsMm(0))
        {
            int size = IsRegister(1) && !IsMm(1) && !IsXmm(_i.Op1Register) ? SizeOf(1) : IsMemory(1) ? _i.MemorySize.GetSize() : 8;
            ushort source = IsMm(1) ? Mm(_i.Op1Register)
                : IsMemory(1) ? VectorSource(1)
                : IsXmm(_i.Op1Register) ? Xmm(_i.Op1Register) : Offset(_i.Op1Register);
            Op* o = Add(&MmxOps.Load);
            o->Dst = Mm(_i.Op0Register);
            o->Src = source;
            o->Disp = size;
            return;
        }

        int bytes = IsMemory(0) ? _i.MemorySize.GetSize() : IsXmm(_i.Op0Register) ? 8 : SizeOf(0);
        Op* r = Add(&MmxOps.Read);
        r->Dst = IsMemory(0) ? Cpu.Temp0 : IsXmm(_i.Op0Register) ? Xmm(_i.Op0Register) : Offset(_i.Op0Register);
        r->Src = Mm(_i.Op1Register);
        r->Disp = bytes;
        r->Scale = IsRegister(0) && IsXmm(_i.Op0Register) ? (byte)1 : (byte)0;
        if (IsMemory(0))
        {
            StoreTemp(bytes);
        }
    }
}
