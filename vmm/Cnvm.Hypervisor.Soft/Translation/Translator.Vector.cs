using Cnvm.Hypervisor.Soft.Core;
using Cnvm.Hypervisor.Soft.Fpu;
using Cnvm.Hypervisor.Soft.Ops;
using Iced.Intel;

namespace Cnvm.Hypervisor.Soft.Translation;

/// <summary>Vector instructions that touch general registers, flags or FPU state.</summary>
internal sealed unsafe partial class Translator
{
    /// <param name="m">The instruction by its legacy name; its operands may be those of the VEX form where they are the same.</param>
    private bool EmitVectorRest(Mnemonic m)
    {
        Op* o;
        ushort source;
        switch (m)
        {
            case Mnemonic.Pmovmskb or Mnemonic.Movmskps or Mnemonic.Movmskpd:
                o = Add(&VectorOps.SignMask);
                o->Dst = Offset(_i.Op0Register);
                o->Src = Xmm(_i.Op1Register);
                o->Disp = m switch { Mnemonic.Pmovmskb => 1, Mnemonic.Movmskps => 4, _ => 8 };
                return true;
            case Mnemonic.Pinsrb:
                EmitInsert(1);
                return true;
            case Mnemonic.Pinsrw:
                EmitInsert(2);
                return true;
            case Mnemonic.Pinsrd:
                EmitInsert(4);
                return true;
            case Mnemonic.Pinsrq:
                EmitInsert(8);
                return true;
            case Mnemonic.Pextrb:
                EmitExtract(1);
                return true;
            case Mnemonic.Pextrw:
                EmitExtract(2);
                return true;
            case Mnemonic.Pextrd or Mnemonic.Extractps:
                EmitExtract(4);
                return true;
            case Mnemonic.Pextrq:
                EmitExtract(8);
                return true;
            case Mnemonic.Comiss or Mnemonic.Ucomiss or Mnemonic.Comisd or Mnemonic.Ucomisd:
                source = VectorSource(1);
                o = Add(&VectorOps.Compare);
                o->Dst = Xmm(_i.Op0Register);
                o->Src = source;
                o->Disp = m is Mnemonic.Comiss or Mnemonic.Ucomiss ? 4 : 8;
                o->Imm = m is Mnemonic.Comiss or Mnemonic.Comisd ? 1 : 0;
                return true;
            case Mnemonic.Ptest:
                source = VectorSource(1);
                o = Add(&VectorOps.Ptest);
                o->Dst = Xmm(_i.Op0Register);
                o->Src = source;
                return true;
            case Mnemonic.Pblendvb or Mnemonic.Blendvps or Mnemonic.Blendvpd:
                source = VectorSource(1);
                o = Add(&VectorOps.BlendVariable);
                o->Dst = Xmm(_i.Op0Register);
                o->Src = source;
                o->Disp = m switch { Mnemonic.Pblendvb => 1, Mnemonic.Blendvps => 4, _ => 8 };
                return true;
            case Mnemonic.Cvtsi2ss or Mnemonic.Cvtsi2sd:
                EmitFromInteger(m);
                return true;
            case Mnemonic.Cvtss2si or Mnemonic.Cvttss2si or Mnemonic.Cvtsd2si or Mnemonic.Cvttsd2si:
                source = VectorSource(1);
                o = Add(&VectorOps.ToInteger);
                o->Dst = Offset(_i.Op0Register);
                o->Src = source;
                o->Scale = (byte)SizeOf(0);
                o->Disp = m is Mnemonic.Cvtss2si or Mnemonic.Cvttss2si ? 4 : 8;
                o->Imm = m is Mnemonic.Cvttss2si or Mnemonic.Cvttsd2si ? 1 : 0;
                return true;
            case Mnemonic.Pcmpestri or Mnemonic.Pcmpestri64 or Mnemonic.Pcmpestrm or Mnemonic.Pcmpestrm64 or Mnemonic.Pcmpistri
                or Mnemonic.Pcmpistrm:
                source = VectorSource(1, aligned: false);
                o = Add(&StringCompare.Run);
                o->Dst = Xmm(_i.Op0Register);
                o->Src = source;
                o->Disp = (int)_i.GetImmediate(2) & 0xff;
                o->Scale = m is Mnemonic.Pcmpestri64 or Mnemonic.Pcmpestrm64 ? (byte)8 : (byte)4;
                o->Imm = (m is Mnemonic.Pcmpistri or Mnemonic.Pcmpistrm ? 0 : 1)
                    | (m is Mnemonic.Pcmpestrm or Mnemonic.Pcmpestrm64 or Mnemonic.Pcmpistrm ? 2 : 0);
                return true;
            case Mnemonic.Maskmovdqu:
                EmitMaskedStore(Vec(_i.Op1Register), Vec(_i.Op2Register), 1, 16);
                return true;
            case Mnemonic.Ldmxcsr:
                source = Source(0, 4);
                Add(&FpuStateOps.Ldmxcsr)->Src = source;
                return true;
            case Mnemonic.Stmxcsr:
                Add(&FpuStateOps.Stmxcsr);
                StoreTemp(4);
                return true;
            default:
                return false;
        }
    }

    /// <summary>CVTSI2SS, CVTSI2SD: the upper part comes from the first source.</summary>
    private void EmitFromInteger(Mnemonic m)
    {
        int operand = _i.OpCount - 1;
        int width = SizeOf(operand);
        ushort source = Source(operand, width);
        Op* o = Add(&VectorOps.FromInteger);
        o->Dst = Xmm(_i.Op0Register);
        o->Src = source;
        o->Index = (byte)Ymm(_i.GetOpRegister(operand - 1));
        o->Base = (byte)operand;
        o->Scale = (byte)width;
        o->Disp = m == Mnemonic.Cvtsi2ss ? 4 : 8;
    }

    private void EmitInsert(int size)
    {
        ushort source = IsRegister(1) ? Offset(_i.Op1Register) : Source(1, size);
        Op* o = Add(&VectorOps.Insert);
        o->Dst = Xmm(_i.Op0Register);
        o->Src = source;
        o->Disp = size;
        o->Imm = (long)_i.GetImmediate(2) & ((16 / size) - 1);
    }

    private void EmitExtract(int size)
    {
        Op* o = Add(&VectorOps.Extract);
        o->Dst = IsRegister(0) ? Offset(_i.Op0Register) : Cpu.Temp0;
        o->Src = Xmm(_i.Op1Register);
        o->Disp = size;
        o->Imm = (long)_i.GetImmediate(2) & ((16 / size) - 1);
        if (IsMemory(0))
        {
            StoreTemp(size);
        }
    }

    /// <summary>FXSAVE and XSAVE families, and EMMS's relatives that concern state alone.</summary>
    private bool EmitFpuState()
    {
        int kind;
        switch (_i.Mnemonic)
        {
            case Mnemonic.Fxsave or Mnemonic.Fxsave64:
                kind = FpuStateOps.KindFxsave;
                break;
            case Mnemonic.Fxrstor or Mnemonic.Fxrstor64:
                kind = FpuStateOps.KindFxrstor;
                break;
            case Mnemonic.Xsave or Mnemonic.Xsave64:
                kind = FpuStateOps.KindXsave;
                break;
            case Mnemonic.Xsaveopt or Mnemonic.Xsaveopt64:
                kind = FpuStateOps.KindXsaveopt;
                break;
            case Mnemonic.Xsavec or Mnemonic.Xsavec64:
                kind = FpuStateOps.KindXsavec;
                break;
            case Mnemonic.Xrstor or Mnemonic.Xrstor64:
                kind = FpuStateOps.KindXrstor;
                break;
            default:
                return false;
        }

        bool wide = _i.Mnemonic is Mnemonic.Fxsave64 or Mnemonic.Fxrstor64 or Mnemonic.Xsave64 or Mnemonic.Xsaveopt64 or Mnemonic.Xsavec64
            or Mnemonic.Xrstor64;
        if ((_mode & ModeBits.Fpu) == 0)
        {
            EmitRaise(Vectors.NM);
            return true;
        }

        bool write = kind is not (FpuStateOps.KindFxrstor or FpuStateOps.KindXrstor);
        Op* o = AddMemory(&FpuStateOps.Run, 512, write);
        o->Imm = kind;
        o->Src = (ushort)(wide ? 8 : 4);
        o->Dst = (ushort)(Is64 ? 16 : 8);
        return true;
    }
}
