using System.Runtime.Intrinsics;
using Cnvm.Hypervisor.Soft.Core;
using Cnvm.Hypervisor.Soft.Fpu;
using Cnvm.Hypervisor.Soft.Ops;
using Iced.Intel;
using unsafe FloatFn = delegate*<System.Runtime.Intrinsics.Vector128<byte>*, System.Runtime.Intrinsics.Vector128<byte>*, int, uint, uint>;
using unsafe VectorFn = delegate*<System.Runtime.Intrinsics.Vector128<byte>*, System.Runtime.Intrinsics.Vector128<byte>*, int, void>;

namespace Cnvm.Hypervisor.Soft.Translation;

/// <summary>SSE instructions.</summary>
internal sealed unsafe partial class Translator
{
    private static ushort Xmm(Register r) => (ushort)(Cpu.VectorOffset + ((r - Register.XMM0) * 32));

    private static bool IsXmm(Register r) => r is >= Register.XMM0 and <= Register.XMM15;

    private bool EmitFloat()
    {
        if (_i.Encoding != EncodingKind.Legacy)
        {
            return _i.Encoding == EncodingKind.VEX && EmitVex();
        }

        for (int i = 0; i < _i.OpCount; i++)
        {
            if (IsMm(i))
            {
                return EmitMmx();
            }
        }

        if (EmitFpuState())
        {
            return true;
        }

        if (EmitX87())
        {
            return true;
        }

        int start = _count;
        if ((_mode & ModeBits.Sse) == 0)
        {
            bool first = _first;
            if (!EmitVector())
            {
                return false;
            }

            _count = start;
            _first = first;
            EmitRaise((_mode & ModeBits.TaskSwitched) != 0 ? Vectors.NM : Vectors.UD);
            return true;
        }

        return EmitVector();
    }

    private bool EmitVector()
    {
        VectorFn fn = PackedInteger.Find(_i.Mnemonic);
        fn = fn == null ? PackedIntegerMore.Find(_i.Mnemonic) : fn;
        fn = fn == null ? PackedFloat.Find(_i.Mnemonic) : fn;
        fn = fn == null ? AesNi.Find(_i.Mnemonic) : fn;
        bool immediate = _i.OpCount > 0 && _i.GetOpKind(_i.OpCount - 1) == OpKind.Immediate8;
        if (immediate && !IsMoveWithImmediate)
        {
            fn = PackedImmediate.Find(_i.Mnemonic);
        }

        FloatFn floatFn = IsMoveWithImmediate ? null : FloatTable.Find(_i.Mnemonic);
        if ((fn == null && floatFn == null) || (_i.OpCount == 3 && !immediate))
        {
            return EmitVectorMove() || EmitVectorRest(_i.Mnemonic);
        }

        ushort source = _i.OpCount > 1 && !(_i.OpCount == 2 && immediate) ? VectorSource(1) : Xmm(_i.Op0Register);
        int number = immediate ? (int)_i.GetImmediate(_i.OpCount - 1) & 0xff : 0;
        if (_i.Mnemonic == Mnemonic.Insertps && IsMemory(1))
        {
            // A memory source is one element; the selector's source part does not apply.
            number &= 0x3f;
        }

        Op* o = Add(floatFn != null ? &VectorOps.ApplyFloat : &VectorOps.Apply);
        o->Dst = Xmm(_i.Op0Register);
        o->Src = source;
        o->Disp = _i.Mnemonic is Mnemonic.Cmpps or Mnemonic.Cmppd or Mnemonic.Cmpss or Mnemonic.Cmpsd ? number & 7 : number;
        o->Imm = floatFn != null ? (nint)floatFn : (nint)fn;
        return true;
    }

    private bool IsMoveWithImmediate =>
        _i.Mnemonic is Mnemonic.Pinsrb or Mnemonic.Pinsrw or Mnemonic.Pinsrd or Mnemonic.Pinsrq or Mnemonic.Pextrb or Mnemonic.Pextrw
            or Mnemonic.Pextrd or Mnemonic.Pextrq or Mnemonic.Extractps or Mnemonic.Pcmpestri or Mnemonic.Pcmpestrm or Mnemonic.Pcmpistri
            or Mnemonic.Pcmpistrm;

    /// <summary>Offset of a vector source: a register, or the temporary after a load of the operand's size.</summary>
    private ushort VectorSource(int operand, bool aligned = true)
    {
        if (IsRegister(operand))
        {
            return Xmm(_i.GetOpRegister(operand));
        }

        int size = _i.MemorySize.GetSize();
        Op* o = AddMemory(
            size switch
            {
                2 => &MemoryForms.Load<VectorOps.LoadScalar<ushort>, ushort>,
                4 => &MemoryForms.Load<VectorOps.LoadScalar<uint>, uint>,
                8 => &MemoryForms.Load<VectorOps.LoadScalar<ulong>, ulong>,
                _ => aligned
                    ? &MemoryForms.Load<VectorOps.LoadAligned, Vector128<byte>>
                    : &MemoryForms.Load<VectorOps.LoadUnaligned, Vector128<byte>>,
            },
            size,
            write: false);
        o->Dst = Cpu.VectorTempOffset;
        return Cpu.VectorTempOffset;
    }

    private void VectorCopy(int bytes, bool clear)
    {
        Op* o = Add(&VectorOps.Copy);
        o->Dst = Xmm(_i.Op0Register);
        o->Src = Xmm(_i.Op1Register);
        o->Disp = bytes;
        o->Scale = clear ? (byte)1 : (byte)0;
    }

    /// <summary>A move of whole registers.</summary>
    private void EmitWholeMove(bool aligned)
    {
        if (IsMemory(0))
        {
            AddMemory(
                aligned
                    ? &MemoryForms.Store<VectorOps.StoreAligned, Vector128<byte>>
                    : &MemoryForms.Store<VectorOps.StoreUnaligned, Vector128<byte>>,
                16,
                write: true)->Src = Xmm(_i.Op1Register);
        }
        else if (IsMemory(1))
        {
            AddMemory(
                aligned
                    ? &MemoryForms.Load<VectorOps.LoadAligned, Vector128<byte>>
                    : &MemoryForms.Load<VectorOps.LoadUnaligned, Vector128<byte>>,
                16,
                write: false)->Dst = Xmm(_i.Op0Register);
        }
        else
        {
            VectorCopy(16, clear: false);
        }
    }

    /// <summary>MOVSS, MOVSD, MOVQ between vector registers and memory.</summary>
    private void EmitScalarMove(int size, bool clear)
    {
        if (IsMemory(0))
        {
            StoreElement(Xmm(_i.Op1Register), size);
        }
        else if (IsMemory(1))
        {
            AddMemory(
                size == 4 ? &MemoryForms.Load<VectorOps.LoadScalar<uint>, uint> : &MemoryForms.Load<VectorOps.LoadScalar<ulong>, ulong>,
                size,
                write: false)->Dst = Xmm(_i.Op0Register);
        }
        else
        {
            VectorCopy(size, clear);
        }
    }

    private void StoreElement(ushort source, int size)
    {
        Op* o = AddMemory(
            BySize(
                size,
                &MemoryForms.Store<MoveOps.StoreReg<byte>, byte>,
                &MemoryForms.Store<MoveOps.StoreReg<ushort>, ushort>,
                &MemoryForms.Store<MoveOps.StoreReg<uint>, uint>,
                &MemoryForms.Store<MoveOps.StoreReg<ulong>, ulong>),
            size,
            write: true);
        o->Src = source;
    }

    private bool EmitVectorMove()
    {
        switch (_i.Mnemonic)
        {
            case Mnemonic.Movaps or Mnemonic.Movapd or Mnemonic.Movdqa or Mnemonic.Movntps or Mnemonic.Movntpd or Mnemonic.Movntdq
                or Mnemonic.Movntdqa:
                EmitWholeMove(aligned: true);
                return true;
            case Mnemonic.Movups or Mnemonic.Movupd or Mnemonic.Movdqu or Mnemonic.Lddqu:
                EmitWholeMove(aligned: false);
                return true;
            case Mnemonic.Movss:
                EmitScalarMove(4, clear: false);
                return true;
            case Mnemonic.Movsd:
                EmitScalarMove(8, clear: false);
                return true;
            case Mnemonic.Movd or Mnemonic.Movq:
                EmitMovd(_i.Mnemonic == Mnemonic.Movd ? 4 : 8);
                return true;
            case Mnemonic.Movlps or Mnemonic.Movlpd or Mnemonic.Movhps or Mnemonic.Movhpd:
                ushort half = _i.Mnemonic is Mnemonic.Movhps or Mnemonic.Movhpd ? (ushort)8 : (ushort)0;
                if (IsMemory(0))
                {
                    StoreElement((ushort)(Xmm(_i.Op1Register) + half), 8);
                }
                else
                {
                    AddMemory(&MemoryForms.Load<VectorOps.LoadHalf, ulong>, 8, write: false)->Dst = (ushort)(Xmm(_i.Op0Register) + half);
                }

                return true;
            case Mnemonic.Movlhps or Mnemonic.Movhlps:
                Op* move = Add(&VectorOps.MoveHalf);
                move->Dst = Xmm(_i.Op0Register);
                move->Src = Xmm(_i.Op1Register);
                move->Imm = _i.Mnemonic == Mnemonic.Movhlps ? 1 : 0;
                return true;
            case Mnemonic.Movnti:
                StoreElement(Offset(_i.Op1Register), SizeOf(1));
                return true;
            default:
                return false;
        }
    }

    private void EmitMovd(int size)
    {
        bool to = IsRegister(0) && IsXmm(_i.Op0Register);
        bool from = IsRegister(1) && IsXmm(_i.Op1Register);
        if (to && from)
        {
            VectorCopy(8, clear: true);
        }
        else if (to && IsRegister(1))
        {
            size = SizeOf(1);
            Op* o = Add(&VectorOps.Copy);
            o->Dst = Xmm(_i.Op0Register);
            o->Src = Offset(_i.Op1Register);
            o->Disp = size;
            o->Scale = 1;
        }
        else if (IsRegister(0) && !to)
        {
            Op* o = Add(&VectorOps.Extract);
            o->Dst = Offset(_i.Op0Register);
            o->Src = Xmm(_i.Op1Register);
            o->Disp = SizeOf(0);
        }
        else
        {
            EmitScalarMove(IsMemory(0) || IsMemory(1) ? _i.MemorySize.GetSize() : size, clear: true);
        }
    }
}
