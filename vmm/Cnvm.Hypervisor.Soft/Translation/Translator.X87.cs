using Cnvm.Hypervisor.Soft.Core;
using Cnvm.Hypervisor.Soft.Fpu;
using Cnvm.Hypervisor.Soft.Ops;
using Iced.Intel;

namespace Cnvm.Hypervisor.Soft.Translation;

/// <summary>x87 instructions.</summary>
internal sealed unsafe partial class Translator
{
    private static int St(Register r) => r - Register.ST0;

    private bool EmitX87()
    {
        int start = _count;
        bool first = _first;
        if (!TryEmitX87())
        {
            return false;
        }

        if ((_mode & ModeBits.Fpu) == 0)
        {
            _count = start;
            _first = first;
            EmitRaise(Vectors.NM);
        }

        return true;
    }

    private bool TryEmitX87()
    {
        switch (_i.Mnemonic)
        {
            case Mnemonic.Wait:
                Add(&X87Ops.Wait);
                return true;
            case Mnemonic.Fninit:
                Add(&X87Ops.Init);
                return true;
            case Mnemonic.Fnclex:
                Add(&X87Ops.ClearExceptions);
                return true;
            case Mnemonic.Emms:
                Add(&X87Ops.Wait);
                Add(&X87Ops.Emms);
                return true;
            case Mnemonic.Fnstcw:
                Add(&X87Ops.ReadControl);
                StoreTemp(2);
                return true;
            case Mnemonic.Fldcw:
                ushort word = Source(0, 2);
                Add(&X87Ops.WriteControl)->Src = word;
                return true;
            case Mnemonic.Fnstsw:
                Add(&X87Ops.ReadStatus);
                if (IsMemory(0))
                {
                    StoreTemp(2);
                }
                else
                {
                    Op* move = Add(&MoveOps.RegReg<ushort>);
                    move->Src = Cpu.Temp0;
                    move->Dst = 0;
                }

                return true;
            case Mnemonic.Fnstenv:
                return EmitEnvironment(0);
            case Mnemonic.Fldenv:
                return EmitEnvironment(1);
            case Mnemonic.Fnsave:
                return EmitEnvironment(2);
            case Mnemonic.Frstor:
                return EmitEnvironment(3);
            case Mnemonic.Ffree or Mnemonic.Ffreep:
                Add(&X87Ops.Wait);
                Op* free = Add(&X87Ops.Free);
                free->Disp = St(_i.Op0Register);
                free->Imm = _i.Mnemonic == Mnemonic.Ffreep ? 1 : 0;
                return true;
            case Mnemonic.Fnop:
                Add(&X87Ops.Wait);
                return true;
            case Mnemonic.Fld or Mnemonic.Fild or Mnemonic.Fbld:
                EmitX87Source(0, integer: _i.Mnemonic == Mnemonic.Fild, out X87Source kind, out int register);
                Op* load = Add(&X87Ops.Load);
                load->Scale = (byte)kind;
                load->Disp = register;
                return true;
            case Mnemonic.Fst or Mnemonic.Fstp or Mnemonic.Fstpnce or Mnemonic.Fbstp or Mnemonic.Fist or Mnemonic.Fistp or Mnemonic.Fisttp:
                EmitX87Store();
                return true;
            case Mnemonic.Fxch:
                Add(&X87Ops.Wait);
                Add(&X87Ops.Exchange)->Disp = _i.OpCount > 1 ? St(_i.Op1Register) : St(_i.Op0Register);
                return true;
            case Mnemonic.Fcmovb or Mnemonic.Fcmove or Mnemonic.Fcmovbe or Mnemonic.Fcmovu or Mnemonic.Fcmovnb or Mnemonic.Fcmovne
                or Mnemonic.Fcmovnbe or Mnemonic.Fcmovnu:
                Add(&X87Ops.Wait);
                Op* cmov = Add(&X87Ops.ConditionalMove);
                cmov->Disp = St(_i.Op1Register);
                cmov->Imm = _i.Mnemonic switch
                {
                    Mnemonic.Fcmovb => 2,
                    Mnemonic.Fcmovnb => 3,
                    Mnemonic.Fcmove => 4,
                    Mnemonic.Fcmovne => 5,
                    Mnemonic.Fcmovbe => 6,
                    Mnemonic.Fcmovnbe => 7,
                    Mnemonic.Fcmovu => 10,
                    _ => 11,
                };
                return true;
            case Mnemonic.Fchs or Mnemonic.Fabs or Mnemonic.Fld1 or Mnemonic.Fldz or Mnemonic.Fldpi or Mnemonic.Fldl2e or Mnemonic.Fldl2t
                or Mnemonic.Fldlg2 or Mnemonic.Fldln2 or Mnemonic.Fsqrt or Mnemonic.Frndint or Mnemonic.Fxam or Mnemonic.Fincstp
                or Mnemonic.Fdecstp or Mnemonic.Fscale or Mnemonic.Fxtract or Mnemonic.Fprem or Mnemonic.Fprem1 or Mnemonic.F2xm1
                or Mnemonic.Fyl2x or Mnemonic.Fyl2xp1 or Mnemonic.Fpatan or Mnemonic.Fptan or Mnemonic.Fsin or Mnemonic.Fcos
                    or Mnemonic.Fsincos:
                Add(&X87Ops.Wait);
                Add(&X87Ops.Plain)->Imm = (long)_i.Mnemonic;
                return true;
            default:
                return EmitX87Compare() || EmitX87Arithmetic();
        }
    }

    private bool EmitEnvironment(int kind)
    {
        AddMemory(&X87Ops.Environment, kind >= 2 ? 108 : 28, write: (kind & 1) == 0)->Imm = kind;
        return true;
    }

    /// <summary>Loads a memory operand into the temporary, after the wait that x87 instructions begin with.</summary>
    private void EmitX87Source(int operand, bool integer, out X87Source kind, out int register)
    {
        register = 0;
        Add(&X87Ops.Wait);
        if (IsRegister(operand))
        {
            kind = X87Source.Register;
            register = St(_i.GetOpRegister(operand));
            return;
        }

        int size = _i.MemorySize.GetSize();
        if (size == 10)
        {
            kind = _i.Mnemonic == Mnemonic.Fbld ? X87Source.Decimal : X87Source.Extended;
            AddMemory(&X87Ops.LoadExtended, 10, write: false);
            return;
        }

        kind = size switch
        {
            2 => X87Source.Int16,
            4 => integer ? X87Source.Int32 : X87Source.Single,
            _ => integer ? X87Source.Int64 : X87Source.Double,
        };
        VectorSource(operand);
    }

    private void EmitX87Store()
    {
        Mnemonic m = _i.Mnemonic;
        bool pop = m is Mnemonic.Fstp or Mnemonic.Fstpnce or Mnemonic.Fbstp or Mnemonic.Fistp or Mnemonic.Fisttp;
        bool integer = m is Mnemonic.Fist or Mnemonic.Fistp or Mnemonic.Fisttp;
        Add(&X87Ops.Wait);
        if (IsRegister(0))
        {
            Op* r = Add(&X87Ops.StoreRegister);
            r->Disp = St(_i.Op0Register);
            r->Imm = (pop ? 1 : 0) | (m == Mnemonic.Fstpnce ? 2 : 0);
            return;
        }

        int size = _i.MemorySize.GetSize();
        PrepareAddress(size, write: true);
        // The scale field carries the kind, so an indexed address is formed beforehand.
        Op* o = Add(&X87Ops.FormAddress);
        SetAddress(o);
        Op* store = Add(&X87Ops.Store);
        store->Base = Cpu.AddressSlot;
        store->Scale = (byte)(size switch
        {
            2 => X87Source.Int16,
            4 => integer ? X87Source.Int32 : X87Source.Single,
            8 => integer ? X87Source.Int64 : X87Source.Double,
            _ => m == Mnemonic.Fbstp ? X87Source.Decimal : X87Source.Extended,
        });
        store->Imm = (pop ? 1 : 0) | (m == Mnemonic.Fisttp ? 2 : 0);
    }

    private bool EmitX87Compare()
    {
        Mnemonic m = _i.Mnemonic;
        bool zero = m == Mnemonic.Ftst;
        bool toFlags = m is Mnemonic.Fcomi or Mnemonic.Fcomip or Mnemonic.Fucomi or Mnemonic.Fucomip;
        bool unordered = m is Mnemonic.Fucom or Mnemonic.Fucomp or Mnemonic.Fucompp or Mnemonic.Fucomi or Mnemonic.Fucomip;
        bool plain = m is Mnemonic.Fcom or Mnemonic.Fcomp or Mnemonic.Fcompp or Mnemonic.Ficom or Mnemonic.Ficomp;
        if (!zero && !toFlags && !unordered && !plain)
        {
            return false;
        }

        X87Source kind = zero ? X87Source.Zero : X87Source.Register;
        int register = 1;
        if (zero || _i.OpCount == 0)
        {
            Add(&X87Ops.Wait);
        }
        else
        {
            EmitX87Source(_i.OpCount - 1, m is Mnemonic.Ficom or Mnemonic.Ficomp, out kind, out register);
        }

        Op* o = Add(&X87Ops.Compare);
        o->Scale = (byte)kind;
        o->Disp = register;
        o->Imm = (unordered ? 1 : 0) | (toFlags ? 2 : 0);
        o->Src = m switch
        {
            Mnemonic.Fcompp or Mnemonic.Fucompp => 2,
            Mnemonic.Fcomp or Mnemonic.Fucomp or Mnemonic.Ficomp or Mnemonic.Fcomip or Mnemonic.Fucomip => 1,
            _ => 0,
        };
        return true;
    }

    private bool EmitX87Arithmetic()
    {
        Mnemonic m = _i.Mnemonic;
        X87Arithmetic operation;
        switch (m)
        {
            case Mnemonic.Fadd or Mnemonic.Faddp or Mnemonic.Fiadd:
                operation = X87Arithmetic.Add;
                break;
            case Mnemonic.Fmul or Mnemonic.Fmulp or Mnemonic.Fimul:
                operation = X87Arithmetic.Multiply;
                break;
            case Mnemonic.Fsub or Mnemonic.Fsubp or Mnemonic.Fisub:
                operation = X87Arithmetic.Subtract;
                break;
            case Mnemonic.Fsubr or Mnemonic.Fsubrp or Mnemonic.Fisubr:
                operation = X87Arithmetic.SubtractReversed;
                break;
            case Mnemonic.Fdiv or Mnemonic.Fdivp or Mnemonic.Fidiv:
                operation = X87Arithmetic.Divide;
                break;
            case Mnemonic.Fdivr or Mnemonic.Fdivrp or Mnemonic.Fidivr:
                operation = X87Arithmetic.DivideReversed;
                break;
            default:
                return false;
        }

        bool integer = m is Mnemonic.Fiadd or Mnemonic.Fimul or Mnemonic.Fisub or Mnemonic.Fisubr or Mnemonic.Fidiv or Mnemonic.Fidivr;
        bool pop = m is Mnemonic.Faddp or Mnemonic.Fmulp or Mnemonic.Fsubp or Mnemonic.Fsubrp or Mnemonic.Fdivp or Mnemonic.Fdivrp;
        EmitX87Source(_i.OpCount - 1, integer, out X87Source kind, out int register);
        Op* o = Add(&X87Ops.Arithmetic);
        o->Imm = (long)operation;
        o->Scale = (byte)kind;
        o->Disp = register;
        o->Dst = IsRegister(0) && _i.OpCount == 2 ? (ushort)St(_i.Op0Register) : (ushort)0;
        o->Src = pop ? (ushort)1 : (ushort)0;
        return true;
    }
}
