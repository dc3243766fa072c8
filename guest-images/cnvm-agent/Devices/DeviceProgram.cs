using Cnvm.Linux;

namespace Cnvm.GuestAgent.Devices;

/// <summary>
/// Makes an eBPF program of rules (Documentation/bpf/standardization/instruction-set.rst). It goes through them from the last to the first with the
/// accesses that are still open in a register: a rule that allows takes its own from them, one that forbids any of them ends it.
/// </summary>
internal static class DeviceProgram
{
    private const byte LoadWord = 0x61;
    private const byte Move = 0xb7;
    private const byte MoveRegister = 0xbf;
    private const byte And = 0x57;
    private const byte ShiftRight = 0x77;
    private const byte Skip = 0x05;
    private const byte SkipIfNotEqual = 0x55;
    private const byte SkipIfSet = 0x45;
    private const byte End = 0x95;

    private const int Answer = 0;
    private const int Context = 1;
    private const int Kind = 2;
    private const int Open = 3;
    private const int Major = 4;
    private const int Minor = 5;

    // struct bpf_cgroup_dev_ctx: the access in the upper half of the first word, the kind in the lower; then the numbers.
    private const int AccessShift = 16;
    private const int KindMask = 0xffff;
    private const short MajorOffset = 4;
    private const short MinorOffset = 8;

    /// <returns>struct bpf_insn each.</returns>
    public static ulong[] Compile(DeviceRules rules)
    {
        var program = new List<ulong>
        {
            Instruction(LoadWord, Kind, Context, 0, 0),
            Instruction(MoveRegister, Open, Kind, 0, 0),
            Instruction(And, Kind, 0, 0, KindMask),
            Instruction(ShiftRight, Open, 0, 0, AccessShift),
            Instruction(LoadWord, Major, Context, MajorOffset, 0),
            Instruction(LoadWord, Minor, Context, MinorOffset, 0),
        };
        for (int i = rules.InOrder.Count - 1; i >= 0; i--)
        {
            DeviceRule rule = rules.InOrder[i];
            // No device has numbers of more than 31 bits, and a comparison's are signed.
            if (rule.Major > int.MaxValue || rule.Minor > int.MaxValue)
            {
                continue;
            }

            if (rule.IsAboutAll && rule.Access == DeviceRule.AllAccess)
            {
                // Nothing before it counts, and the kernel takes no instructions that cannot be reached.
                AddAnswer(program, rule.Allows);
                return [.. program];
            }

            Add(program, rule);
        }

        AddAnswer(program, false);
        return [.. program];
    }

    private static void Add(List<ulong> program, DeviceRule rule)
    {
        int comparisons = (rule.Kind == 0 ? 0 : 1) + (rule.Major < 0 ? 0 : 1) + (rule.Minor < 0 ? 0 : 1);
        const int Decision = 4;
        if (rule.Kind != 0)
        {
            program.Add(Instruction(SkipIfNotEqual, Kind, 0, Decision + --comparisons, rule.Kind));
        }

        if (rule.Major >= 0)
        {
            program.Add(Instruction(SkipIfNotEqual, Major, 0, Decision + --comparisons, (int)rule.Major));
        }

        if (rule.Minor >= 0)
        {
            program.Add(Instruction(SkipIfNotEqual, Minor, 0, Decision + --comparisons, (int)rule.Minor));
        }

        program.Add(rule.Allows ? Instruction(And, Open, 0, 0, ~rule.Access) : Instruction(SkipIfSet, Open, 0, 1, rule.Access));
        program.Add(rule.Allows ? Instruction(SkipIfNotEqual, Open, 0, 2, 0) : Instruction(Skip, 0, 0, 2, 0));
        AddAnswer(program, rule.Allows);
    }

    private static void AddAnswer(List<ulong> program, bool isAllowed)
    {
        program.Add(Instruction(Move, Answer, 0, 0, isAllowed ? 1 : 0));
        program.Add(Instruction(End, 0, 0, 0, 0));
    }

    private static ulong Instruction(byte code, int destination, int source, int offset, int constant) =>
        code | ((ulong)(uint)(destination | (source << 4)) << 8) | ((ulong)(ushort)offset << 16) | ((ulong)(uint)constant << 32);
}
