using Iced.Intel;

namespace Cnvm.Hypervisor.Soft.Tests.Differential;

/// <summary>Operands of random instructions.</summary>
internal sealed partial class CaseGenerator
{
    private bool TryCreate(Code code, out Instruction instruction)
    {
        OpCodeInfo info = code.ToOpCode();
        if (code.ToOpCode().OpCount > 0 && Array.IndexOf(StringCodes, code) >= 0)
        {
            return TryCreateString(code, out instruction);
        }

        instruction = new Instruction { Code = code };
        bool memory = _random.Next(2) == 0;
        for (int i = 0; i < info.OpCount; i++)
        {
            if (!SetOperand(ref instruction, i, info.GetOpKind(i), memory))
            {
                return false;
            }
        }

        // Double shifts of 16 bits by more than that are undefined.
        if (instruction.Mnemonic is Mnemonic.Shld or Mnemonic.Shrd && info.GetOpKind(1) == OpCodeOperandKind.r16_reg
            && (instruction.Op2Kind == OpKind.Register || (instruction.Immediate8 & 31) > 16))
        {
            return false;
        }

        if (info.CanUseLockPrefix && instruction.Op0Kind == OpKind.Memory && _random.Next(2) == 0)
        {
            instruction.HasLockPrefix = true;
        }

        // Gathers need three different registers.
        if (instruction.IsVsib && (_random.Next(8) != 0) && !Distinct(instruction))
        {
            return false;
        }

        // The address registers stay what they are.
        foreach (UsedRegister used in _info.GetInfo(instruction).GetUsedRegisters())
        {
            if (used.Access is not (OpAccess.Read or OpAccess.CondRead)
                && used.Register.IsGPR() && used.Register.GetFullRegister() is Register.R14 or Register.R15)
            {
                return false;
            }
        }

        return true;
    }

    private static bool Distinct(in Instruction i)
    {
        int a = i.Op0Register.GetNumber();
        int b = i.MemoryIndex.GetNumber();
        int c = i.Op2Register.GetNumber();
        return a != b && b != c && a != c;
    }

    private bool TryCreateString(Code code, out Instruction instruction)
    {
        bool narrow = _random.Next(6) == 0;
        int address = narrow ? 32 : 64;
        RepPrefixKind rep = _random.Next(3) switch { 0 => RepPrefixKind.None, 1 => RepPrefixKind.Repe, _ => RepPrefixKind.Repne };
        OpCodeInfo info = code.ToOpCode();
        if (rep == RepPrefixKind.Repne && !info.CanUseRepnePrefix)
        {
            rep = RepPrefixKind.Repe;
        }

        instruction = info.Mnemonic switch
        {
            Mnemonic.Movsb => Instruction.CreateMovsb(address, repPrefix: rep),
            Mnemonic.Movsw => Instruction.CreateMovsw(address, repPrefix: rep),
            Mnemonic.Movsd => Instruction.CreateMovsd(address, repPrefix: rep),
            Mnemonic.Movsq => Instruction.CreateMovsq(address, repPrefix: rep),
            Mnemonic.Stosb => Instruction.CreateStosb(address, rep),
            Mnemonic.Stosw => Instruction.CreateStosw(address, rep),
            Mnemonic.Stosd => Instruction.CreateStosd(address, rep),
            Mnemonic.Stosq => Instruction.CreateStosq(address, rep),
            Mnemonic.Lodsb => Instruction.CreateLodsb(address, repPrefix: rep),
            Mnemonic.Lodsw => Instruction.CreateLodsw(address, repPrefix: rep),
            Mnemonic.Lodsd => Instruction.CreateLodsd(address, repPrefix: rep),
            Mnemonic.Lodsq => Instruction.CreateLodsq(address, repPrefix: rep),
            Mnemonic.Scasb => Instruction.CreateScasb(address, rep),
            Mnemonic.Scasw => Instruction.CreateScasw(address, rep),
            Mnemonic.Scasd => Instruction.CreateScasd(address, rep),
            Mnemonic.Scasq => Instruction.CreateScasq(address, rep),
            Mnemonic.Cmpsb => Instruction.CreateCmpsb(address, repPrefix: rep),
            Mnemonic.Cmpsw => Instruction.CreateCmpsw(address, repPrefix: rep),
            Mnemonic.Cmpsd => Instruction.CreateCmpsd(address, repPrefix: rep),
            _ => Instruction.CreateCmpsq(address, repPrefix: rep),
        };
        return true;
    }

    private bool SetOperand(ref Instruction instruction, int n, OpCodeOperandKind kind, bool memory)
    {
        switch (kind)
        {
            case OpCodeOperandKind.r8_reg or OpCodeOperandKind.r8_opcode:
                return SetRegister(ref instruction, n, Gpr8());
            case OpCodeOperandKind.r16_reg or OpCodeOperandKind.r16_opcode or OpCodeOperandKind.r16_rm:
                return SetRegister(ref instruction, n, Register.AX + Number());
            case OpCodeOperandKind.r32_reg or OpCodeOperandKind.r32_opcode or OpCodeOperandKind.r32_rm or OpCodeOperandKind.r32_vvvv:
                return SetRegister(ref instruction, n, Register.EAX + Number());
            case OpCodeOperandKind.r64_reg or OpCodeOperandKind.r64_opcode or OpCodeOperandKind.r64_rm or OpCodeOperandKind.r64_vvvv:
                return SetRegister(ref instruction, n, Register.RAX + Number());
            case OpCodeOperandKind.xmm_reg or OpCodeOperandKind.xmm_rm or OpCodeOperandKind.xmm_vvvv or OpCodeOperandKind.xmm_is4
                or OpCodeOperandKind.xmm_is5:
                return SetRegister(ref instruction, n, Register.XMM0 + Number());
            case OpCodeOperandKind.ymm_reg or OpCodeOperandKind.ymm_rm or OpCodeOperandKind.ymm_vvvv or OpCodeOperandKind.ymm_is4
                or OpCodeOperandKind.ymm_is5:
                return SetRegister(ref instruction, n, Register.YMM0 + Number());
            case OpCodeOperandKind.mm_reg or OpCodeOperandKind.mm_rm:
                return SetRegister(ref instruction, n, Register.MM0 + _random.Next(8));
            case OpCodeOperandKind.st0:
                return SetRegister(ref instruction, n, Register.ST0);
            case OpCodeOperandKind.sti_opcode:
                return SetRegister(ref instruction, n, Register.ST0 + _random.Next(8));
            case OpCodeOperandKind.mem:
                return SetMemory(ref instruction, n);
            case OpCodeOperandKind.mem_vsib32x or OpCodeOperandKind.mem_vsib64x:
                return SetVsib(ref instruction, n, Register.XMM0 + Number());
            case OpCodeOperandKind.mem_vsib32y or OpCodeOperandKind.mem_vsib64y:
                return SetVsib(ref instruction, n, Register.YMM0 + Number());
            case OpCodeOperandKind.seg_rDI:
                instruction.SetOpKind(n, OpKind.MemorySegRDI);
                return true;
            case OpCodeOperandKind.al:
                return SetRegister(ref instruction, n, Register.AL);
            case OpCodeOperandKind.ax:
                return SetRegister(ref instruction, n, Register.AX);
            case OpCodeOperandKind.eax:
                return SetRegister(ref instruction, n, Register.EAX);
            case OpCodeOperandKind.rax:
                return SetRegister(ref instruction, n, Register.RAX);
            case OpCodeOperandKind.cl:
                return SetRegister(ref instruction, n, Register.CL);
            default:
                OpCodeOperandKind register = RegisterOf(kind);
                if (register != OpCodeOperandKind.None)
                {
                    return memory ? SetMemory(ref instruction, n) : SetOperand(ref instruction, n, register, memory);
                }

                return SetImmediate(ref instruction, n, kind);
        }
    }

    /// <summary>The register kind of an operand that may be memory.</summary>
    private static OpCodeOperandKind RegisterOf(OpCodeOperandKind kind) => kind switch
    {
        OpCodeOperandKind.r8_or_mem => OpCodeOperandKind.r8_reg,
        OpCodeOperandKind.r16_or_mem => OpCodeOperandKind.r16_reg,
        OpCodeOperandKind.r32_or_mem => OpCodeOperandKind.r32_reg,
        OpCodeOperandKind.r64_or_mem => OpCodeOperandKind.r64_reg,
        OpCodeOperandKind.mm_or_mem => OpCodeOperandKind.mm_reg,
        OpCodeOperandKind.xmm_or_mem => OpCodeOperandKind.xmm_reg,
        OpCodeOperandKind.ymm_or_mem => OpCodeOperandKind.ymm_reg,
        _ => OpCodeOperandKind.None,
    };

    private bool SetImmediate(ref Instruction instruction, int n, OpCodeOperandKind kind)
    {
        (OpKind op, ulong value) = kind switch
        {
            OpCodeOperandKind.imm8 when instruction.Mnemonic == Mnemonic.Enter => (OpKind.Immediate8_2nd, (ulong)_random.Next(34)),
            OpCodeOperandKind.imm16 when instruction.Mnemonic == Mnemonic.Enter => (OpKind.Immediate16, (ulong)_random.Next(64)),
            OpCodeOperandKind.imm8 => (OpKind.Immediate8, (ulong)_random.Next(256)),
            OpCodeOperandKind.imm8_const_1 => (OpKind.Immediate8, 1ul),
            OpCodeOperandKind.imm8sex16 => (OpKind.Immediate8to16, (ulong)(sbyte)_random.Next(256)),
            OpCodeOperandKind.imm8sex32 => (OpKind.Immediate8to32, (ulong)(sbyte)_random.Next(256)),
            OpCodeOperandKind.imm8sex64 => (OpKind.Immediate8to64, (ulong)(sbyte)_random.Next(256)),
            OpCodeOperandKind.imm16 => (OpKind.Immediate16, _values.Word() & 0xffff),
            OpCodeOperandKind.imm32 => (OpKind.Immediate32, _values.Word() & 0xffff_ffff),
            OpCodeOperandKind.imm32sex64 => (OpKind.Immediate32to64, (ulong)(int)_values.Word()),
            OpCodeOperandKind.imm64 => (OpKind.Immediate64, _values.Word()),
            _ => (OpKind.Register, 0ul),
        };
        if (op == OpKind.Register)
        {
            return false;
        }

        instruction.SetOpKind(n, op);
        instruction.SetImmediate(n, value);
        return true;
    }

    private int Number() => _random.Next(16);

    private Register Gpr8() => _random.Next(5) == 0 ? Register.AH + _random.Next(4) : _random.Next(2) == 0 ? Register.AL + _random.Next(4) : Register.SPL + _random.Next(12);

    private static bool SetRegister(ref Instruction instruction, int n, Register r)
    {
        instruction.SetOpKind(n, OpKind.Register);
        instruction.SetOpRegister(n, r);
        return true;
    }

    /// <summary>Mostly near the middle of the data and aligned; sometimes anything up to the pages around.</summary>
    private bool SetMemory(ref Instruction instruction, int n)
    {
        instruction.SetOpKind(n, OpKind.Memory);
        instruction.MemoryBase = Register.R15;
        instruction.MemoryDisplSize = 4;
        bool state = instruction.Mnemonic is Mnemonic.Xsave or Mnemonic.Xsave64 or Mnemonic.Xsaveopt or Mnemonic.Xsavec
            or Mnemonic.Xrstor or Mnemonic.Xrstor64;
        int size = Math.Max(1, instruction.MemorySize.GetSize());
        long displacement = _random.Next(16) switch
        {
            0 => -_random.Next(1, size + 1),
            1 => -0x1000 + _random.Next(-size, 16),
            2 => 0x1000 - _random.Next(0, size + 1),
            3 => 0x2000 - _random.Next(0, size + 1),
            4 => _random.Next(-500, 500),
            _ => _random.Next(-16, 16) * 32,
        };
        if (state)
        {
            displacement = _random.Next(12) switch { 0 => 0x1000 - (_random.Next(14) * 64), 1 => _random.Next(-500, 500),
                _ => _random.Next(-8, 8) * 64 };
        }

        instruction.MemoryDisplacement64 = (ulong)displacement;
        if (_random.Next(4) == 0 && size < 16)
        {
            instruction.MemoryIndex = Register.R14;
            instruction.MemoryIndexScale = 1 << _random.Next(4);
        }

        return true;
    }

    private bool SetVsib(ref Instruction instruction, int n, Register index)
    {
        instruction.SetOpKind(n, OpKind.Memory);
        instruction.MemoryBase = Register.R15;
        instruction.MemoryIndex = index;
        instruction.MemoryIndexScale = 1 << _random.Next(4);
        instruction.MemoryDisplSize = 4;
        instruction.MemoryDisplacement64 = (ulong)(long)_random.Next(-256, 256);
        return true;
    }
}
