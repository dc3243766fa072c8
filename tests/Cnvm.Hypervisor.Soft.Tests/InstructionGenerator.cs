using Iced.Intel;

namespace Cnvm.Hypervisor.Soft.Tests;

/// <summary>Makes random user-mode instructions. R15 is the data page's address and R14 a small index: neither is written.</summary>
internal sealed class InstructionGenerator(int seed)
{
    private static readonly HashSet<string> Skipped =
    [
        "Div", "Idiv", "Enter", "Leave", "Push", "Pop", "Pusha", "Popa", "Pushf", "Popf", "Pushfq", "Popfq", "Xlatb", "Call", "Ret", "Jmp", "Int", "Int1",
        "Int3", "Into", "Hlt", "In", "Out", "Cpuid", "Rdtsc", "Rdtscp", "Rdpmc", "Rdrand", "Rdseed", "Syscall", "Sysenter", "Sysret", "Sysexit",
        "Sysretq", "Sysexitq", "Cli", "Sti", "Ud0", "Ud1", "Ud2", "Std", "Cld", "Mwait", "Monitor", "Maskmovdqu", "Cmpxchg16b", "Cmpxchg8b", "Rsm",
        "Iret", "Iretd", "Iretq", "Retf", "Swapgs", "Clts", "Wbinvd", "Invd", "Rdmsr", "Wrmsr", "Ldmxcsr", "Stmxcsr", "Rdpid", "Xgetbv", "Lar", "Lsl",
        "Verr", "Verw", "Sldt", "Str", "Smsw", "Lss", "Lfs", "Lgs", "Bound", "Pause", "Nop", "Reservednop", "Fxsave", "Fxrstor", "Movnti", "Sha1msg1",
        "Cvtpi2ps", "Cvtps2pi", "Cvttps2pi", "Cvtpi2pd", "Cvtpd2pi", "Cvttpd2pi", "Maskmovq", "Rcpps", "Rcpss", "Rsqrtps", "Rsqrtss",
    ];

    private static readonly HashSet<CpuidFeature> Features =
    [
        CpuidFeature.INTEL8086, CpuidFeature.INTEL186, CpuidFeature.INTEL286, CpuidFeature.INTEL386, CpuidFeature.INTEL486, CpuidFeature.CMOV, CpuidFeature.X64,
        CpuidFeature.MMX, CpuidFeature.SSE, CpuidFeature.SSE2, CpuidFeature.SSE3, CpuidFeature.SSSE3, CpuidFeature.SSE4_1, CpuidFeature.SSE4_2, CpuidFeature.BMI1, CpuidFeature.BMI2,
        CpuidFeature.POPCNT, CpuidFeature.LZCNT, CpuidFeature.MOVBE, CpuidFeature.ADX, CpuidFeature.AES, CpuidFeature.PCLMULQDQ,
    ];

    private static readonly Code[] Codes = [.. Enum.GetValues<Code>().Where(IsUsable)];
    private readonly Random _random = new(seed);
    private ulong _undefined;

    public static int CodeCount => Codes.Length;

    /// <summary>Encodes a sequence that runs at the arena's code address.</summary>
    /// <param name="undefined">Flags that the sequence leaves undefined.</param>
    public byte[] Sequence(int length, out ulong undefined, out string text)
    {
        _undefined = 0;
        ListWriter writer = new();
        Encoder encoder = Encoder.Create(64, writer);
        List<string> lines = [];
        while (lines.Count < length)
        {
            if (!TryCreate(Codes[_random.Next(Codes.Length)], out Instruction instruction) || (FlagBits(instruction.RflagsRead) & _undefined) != 0)
            {
                continue;
            }

            int before = writer.Bytes.Count;
            if (!encoder.TryEncode(instruction, NativeProcessor.CodeAddress + (ulong)before, out _, out _))
            {
                writer.Bytes.RemoveRange(before, writer.Bytes.Count - before);
                continue;
            }

            // A variable count may be zero and leave flags as they were; then they stay as undefined as they were.
            ulong defined = FlagBits(instruction.RflagsWritten | instruction.RflagsCleared | instruction.RflagsSet);
            bool variable = instruction.OpCount > 1 && instruction.GetOpKind(instruction.OpCount - 1) == OpKind.Register
                && instruction.GetOpRegister(instruction.OpCount - 1) == Register.CL;
            _undefined = (variable ? _undefined : _undefined & ~defined) | FlagBits(instruction.RflagsUndefined) | (IsShift(instruction) ? 0x800ul : 0);
            lines.Add(instruction.ToString());
        }

        undefined = _undefined;
        text = string.Join("; ", lines);
        return [.. writer.Bytes];
    }

    public ProcessorState State()
    {
        ProcessorState s = new() { Flags = (ulong)_random.Next() & ProcessorState.StatusFlags };
        for (int i = 0; i < 16; i++)
        {
            s.General[i] = Word();
        }

        s.General[14] = (ulong)_random.Next(16);
        s.General[15] = NativeProcessor.DataAddress + 0x800;
        for (int i = 0; i < 40; i++)
        {
            s.Vectors[i] = _random.Next(3) == 0 ? (ulong)BitConverter.DoubleToInt64Bits((_random.NextDouble() - 0.5) * 1e6) : Word();
        }

        return s;
    }

    public void FillData(Span<byte> data) => _random.NextBytes(data);

    private ulong Word() => _random.Next(4) switch
    {
        0 => (ulong)_random.Next(16),
        1 => ~(ulong)_random.Next(16),
        2 => 1ul << _random.Next(64),
        _ => (ulong)_random.NextInt64(long.MinValue, long.MaxValue),
    };

    /// <summary>OF of shifts by other counts than one, and of rotates, is undefined.</summary>
    private static bool IsShift(in Instruction i) =>
        i.Mnemonic is Mnemonic.Shl or Mnemonic.Sal or Mnemonic.Shr or Mnemonic.Sar or Mnemonic.Rol or Mnemonic.Ror or Mnemonic.Rcl or Mnemonic.Rcr
            or Mnemonic.Shld or Mnemonic.Shrd;

    private static ulong FlagBits(RflagsBits bits)
    {
        ulong flags = 0;
        flags |= (bits & RflagsBits.CF) != 0 ? 1u : 0;
        flags |= (bits & RflagsBits.PF) != 0 ? 4u : 0;
        flags |= (bits & RflagsBits.AF) != 0 ? 0x10u : 0;
        flags |= (bits & RflagsBits.ZF) != 0 ? 0x40u : 0;
        flags |= (bits & RflagsBits.SF) != 0 ? 0x80u : 0;
        flags |= (bits & RflagsBits.OF) != 0 ? 0x800u : 0;
        return flags;
    }

    private static bool IsUsable(Code code)
    {
        OpCodeInfo info = code.ToOpCode();
        if (!info.Mode64 || !info.IsInstruction || info.IsPrivileged || Skipped.Contains(code.Mnemonic().ToString()) || code.CpuidFeatures().Any(f => !Features.Contains(f)))
        {
            return false;
        }

        if (info.Encoding is not (EncodingKind.Legacy or EncodingKind.VEX) || code.FlowControl() != FlowControl.Next || code.IsStringInstructionCode())
        {
            return false;
        }

        for (int i = 0; i < info.OpCount; i++)
        {
            if (!IsKnown(info.GetOpKind(i)))
            {
                return false;
            }
        }

        return true;
    }

    private static bool IsKnown(OpCodeOperandKind k) => k is OpCodeOperandKind.r8_reg or OpCodeOperandKind.r16_reg or OpCodeOperandKind.r32_reg
        or OpCodeOperandKind.r64_reg or OpCodeOperandKind.r8_or_mem or OpCodeOperandKind.r16_or_mem or OpCodeOperandKind.r32_or_mem
        or OpCodeOperandKind.r64_or_mem or OpCodeOperandKind.r8_opcode or OpCodeOperandKind.r16_opcode or OpCodeOperandKind.r32_opcode
        or OpCodeOperandKind.r64_opcode or OpCodeOperandKind.r32_vvvv or OpCodeOperandKind.r64_vvvv or OpCodeOperandKind.r16_rm
        or OpCodeOperandKind.r32_rm or OpCodeOperandKind.r64_rm or OpCodeOperandKind.al or OpCodeOperandKind.ax or OpCodeOperandKind.eax
        or OpCodeOperandKind.rax or OpCodeOperandKind.cl or OpCodeOperandKind.imm8 or OpCodeOperandKind.imm8_const_1 or OpCodeOperandKind.imm8sex16
        or OpCodeOperandKind.imm8sex32 or OpCodeOperandKind.imm8sex64 or OpCodeOperandKind.imm16 or OpCodeOperandKind.imm32
        or OpCodeOperandKind.imm32sex64 or OpCodeOperandKind.imm64 or OpCodeOperandKind.xmm_reg or OpCodeOperandKind.xmm_rm
        or OpCodeOperandKind.xmm_or_mem or OpCodeOperandKind.mem or OpCodeOperandKind.mm_reg or OpCodeOperandKind.mm_rm
        or OpCodeOperandKind.mm_or_mem;

    private bool TryCreate(Code code, out Instruction instruction)
    {
        instruction = new Instruction { Code = code };
        OpCodeInfo info = code.ToOpCode();
        bool memory = _random.Next(2) == 0;
        for (int i = 0; i < info.OpCount; i++)
        {
            SetOperand(ref instruction, i, info.GetOpKind(i), memory);
        }

        // A bit number in a register may reach any address.
        if (instruction.Mnemonic is Mnemonic.Bt or Mnemonic.Bts or Mnemonic.Btr or Mnemonic.Btc
            && instruction.Op0Kind == OpKind.Memory && instruction.Op1Kind == OpKind.Register)
        {
            return false;
        }

        // Double shifts of 16 bits by more than that are undefined.
        if (instruction.Mnemonic is Mnemonic.Shld or Mnemonic.Shrd && info.GetOpKind(1) == OpCodeOperandKind.r16_reg
            && (instruction.Op2Kind == OpKind.Register || (instruction.Immediate8 & 31) > 16))
        {
            return false;
        }

        // The address registers stay what they are.
        InstructionInfoFactory factory = new();
        foreach (UsedRegister used in factory.GetInfo(instruction).GetUsedRegisters())
        {
            if (used.Access is not (OpAccess.Read or OpAccess.CondRead)
                && used.Register.IsGPR() && used.Register.GetFullRegister() is Register.R14 or Register.R15 or Register.RSP)
            {
                return false;
            }

            if (used.Register.IsGPR() && used.Register.GetFullRegister() == Register.RSP)
            {
                return false;
            }
        }

        return true;
    }

    private void SetOperand(ref Instruction instruction, int n, OpCodeOperandKind kind, bool memory)
    {
        switch (kind)
        {
            case OpCodeOperandKind.r8_reg or OpCodeOperandKind.r8_opcode:
                SetRegister(ref instruction, n, Gpr8());
                break;
            case OpCodeOperandKind.r16_reg or OpCodeOperandKind.r16_opcode or OpCodeOperandKind.r16_rm:
                SetRegister(ref instruction, n, Register.AX + Number());
                break;
            case OpCodeOperandKind.r32_reg or OpCodeOperandKind.r32_opcode or OpCodeOperandKind.r32_rm or OpCodeOperandKind.r32_vvvv:
                SetRegister(ref instruction, n, Register.EAX + Number());
                break;
            case OpCodeOperandKind.r64_reg or OpCodeOperandKind.r64_opcode or OpCodeOperandKind.r64_rm or OpCodeOperandKind.r64_vvvv:
                SetRegister(ref instruction, n, Register.RAX + Number());
                break;
            case OpCodeOperandKind.xmm_reg or OpCodeOperandKind.xmm_rm:
                SetRegister(ref instruction, n, Register.XMM0 + _random.Next(16));
                break;
            case OpCodeOperandKind.mm_reg or OpCodeOperandKind.mm_rm:
                SetRegister(ref instruction, n, Register.MM0 + _random.Next(8));
                break;
            case OpCodeOperandKind.mem:
                SetMemory(ref instruction, n);
                break;
            case OpCodeOperandKind.r8_or_mem or OpCodeOperandKind.r16_or_mem or OpCodeOperandKind.r32_or_mem or OpCodeOperandKind.r64_or_mem
                or OpCodeOperandKind.xmm_or_mem or OpCodeOperandKind.mm_or_mem:
                if (memory)
                {
                    SetMemory(ref instruction, n);
                    break;
                }

                OpCodeOperandKind register = kind switch
                {
                    OpCodeOperandKind.r8_or_mem => OpCodeOperandKind.r8_reg,
                    OpCodeOperandKind.r16_or_mem => OpCodeOperandKind.r16_reg,
                    OpCodeOperandKind.r32_or_mem => OpCodeOperandKind.r32_reg,
                    OpCodeOperandKind.r64_or_mem => OpCodeOperandKind.r64_reg,
                    OpCodeOperandKind.mm_or_mem => OpCodeOperandKind.mm_reg,
                    _ => OpCodeOperandKind.xmm_reg,
                };
                SetOperand(ref instruction, n, register, memory);
                break;
            case OpCodeOperandKind.al:
                SetRegister(ref instruction, n, Register.AL);
                break;
            case OpCodeOperandKind.ax:
                SetRegister(ref instruction, n, Register.AX);
                break;
            case OpCodeOperandKind.eax:
                SetRegister(ref instruction, n, Register.EAX);
                break;
            case OpCodeOperandKind.rax:
                SetRegister(ref instruction, n, Register.RAX);
                break;
            case OpCodeOperandKind.cl:
                SetRegister(ref instruction, n, Register.CL);
                break;
            default:
                SetImmediate(ref instruction, n, kind);
                break;
        }
    }

    private void SetImmediate(ref Instruction instruction, int n, OpCodeOperandKind kind)
    {
        (OpKind op, ulong value) = kind switch
        {
            OpCodeOperandKind.imm8 => (OpKind.Immediate8, (ulong)_random.Next(256)),
            OpCodeOperandKind.imm8_const_1 => (OpKind.Immediate8, 1ul),
            OpCodeOperandKind.imm8sex16 => (OpKind.Immediate8to16, (ulong)(sbyte)_random.Next(256)),
            OpCodeOperandKind.imm8sex32 => (OpKind.Immediate8to32, (ulong)(sbyte)_random.Next(256)),
            OpCodeOperandKind.imm8sex64 => (OpKind.Immediate8to64, (ulong)(sbyte)_random.Next(256)),
            OpCodeOperandKind.imm16 => (OpKind.Immediate16, Word() & 0xffff),
            OpCodeOperandKind.imm32 => (OpKind.Immediate32, Word() & 0xffff_ffff),
            OpCodeOperandKind.imm32sex64 => (OpKind.Immediate32to64, (ulong)(int)Word()),
            _ => (OpKind.Immediate64, Word()),
        };
        instruction.SetOpKind(n, op);
        instruction.SetImmediate(n, value);
    }

    private int Number() => _random.Next(16);

    private Register Gpr8() => _random.Next(5) == 0 ? Register.AH + _random.Next(4) : _random.Next(2) == 0 ? Register.AL + _random.Next(4) : Register.SPL + _random.Next(12);

    private static void SetRegister(ref Instruction instruction, int n, Register r)
    {
        instruction.SetOpKind(n, OpKind.Register);
        instruction.SetOpRegister(n, r);
    }

    private void SetMemory(ref Instruction instruction, int n)
    {
        instruction.SetOpKind(n, OpKind.Memory);
        instruction.MemoryBase = Register.R15;
        instruction.MemoryDisplSize = 4;
        instruction.MemoryDisplacement64 = (ulong)(long)(_random.Next(-32, 32) * 16);
        if (_random.Next(4) == 0)
        {
            instruction.MemoryIndex = Register.R14;
            instruction.MemoryIndexScale = 8;
            // Aligned vector operands need sixteens.
            if (instruction.MemorySize.GetSize() >= 16)
            {
                instruction.MemoryIndex = Register.None;
                instruction.MemoryIndexScale = 1;
            }
        }
    }

    private sealed class ListWriter : CodeWriter
    {
        public List<byte> Bytes { get; } = [];

        public override void WriteByte(byte value) => Bytes.Add(value);
    }
}

internal static class CodeKinds
{
    /// <summary>Codes whose operands are implicit string operands.</summary>
    public static bool IsStringInstructionCode(this Code code) => code.ToOpCode() is { } info
        && Enumerable.Range(0, info.OpCount).Any(i => info.GetOpKind(i) is OpCodeOperandKind.es_rDI or OpCodeOperandKind.seg_rSI or OpCodeOperandKind.seg_rDI);
}
