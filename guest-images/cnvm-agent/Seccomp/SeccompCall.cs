using Cnvm.GuestAgent.Stage;
using Cnvm.Linux;

namespace Cnvm.GuestAgent.Seccomp;

/// <summary>What a profile says of one system call: rules with conditions in their order, then what happens without.</summary>
internal sealed class SeccompCall(uint otherwise)
{
    private const uint FirstArgument = 16;
    private const int Arguments = 6;

    /// <summary>Stands for "the condition does not hold" until the rule's length is known.</summary>
    private const byte Fails = byte.MaxValue;

    private readonly List<(SeccompCondition[] Conditions, uint Action)> _rules = [];
    private uint? _always;

    /// <exception cref="StageException">A condition is not known.</exception>
    public void Add(IReadOnlyList<SeccompCondition> conditions, uint action)
    {
        if (conditions.FirstOrDefault(c => c.Index is < 0 or >= Arguments) is { } wrong)
        {
            throw new StageException($"seccomp: system calls have no argument {wrong.Index}");
        }

        if (conditions.Count == 0)
        {
            _always ??= action;
        }
        else if (conditions.Any(c => conditions.Any(o => !ReferenceEquals(o, c) && o.Index == c.Index)))
        {
            // libseccomp cannot have two comparisons of one argument in a rule, so engines mean alternatives.
            _rules.AddRange(conditions.Select(c => (new[] { c }, action)));
        }
        else
        {
            _rules.Add(([.. conditions], action));
        }
    }

    public List<sock_filter> Emit()
    {
        var code = new List<sock_filter>();
        foreach ((SeccompCondition[] conditions, uint action) in _rules)
        {
            var rule = new List<sock_filter>();
            foreach (SeccompCondition condition in conditions)
            {
                rule.AddRange(Emit(condition));
            }

            rule.Add(BpfInstruction.Return(action));
            for (int i = 0; i < rule.Count; i++)
            {
                sock_filter instruction = rule[i];
                byte beyond = (byte)(rule.Count - i - 1);
                instruction.jt = instruction.jt == Fails ? beyond : instruction.jt;
                instruction.jf = instruction.jf == Fails ? beyond : instruction.jf;
                rule[i] = instruction;
            }

            code.AddRange(rule);
        }

        code.Add(BpfInstruction.Return(_always ?? otherwise));
        return code;
    }

    // Arguments have 64 bits and the machine 32: the high half decides unless it is equal. What holds goes on behind the last instruction.
    private static sock_filter[] Emit(SeccompCondition c)
    {
        sock_filter low = BpfInstruction.Load(FirstArgument + (8 * (uint)c.Index));
        sock_filter high = BpfInstruction.Load(FirstArgument + (8 * (uint)c.Index) + 4);
        uint h = (uint)(c.Value >> 32);
        uint l = (uint)c.Value;
        return c.Operator switch
        {
            "SCMP_CMP_EQ" => [high, BpfInstruction.JumpIfEqual(h, 0, Fails), low, BpfInstruction.JumpIfEqual(l, 0, Fails)],
            "SCMP_CMP_NE" => [high, BpfInstruction.JumpIfEqual(h, 0, 2), low, BpfInstruction.JumpIfEqual(l, Fails, 0)],
            "SCMP_CMP_GT" =>
                [high, BpfInstruction.JumpIfGreater(h, 3, 0), BpfInstruction.JumpIfEqual(h, 0, Fails), low, BpfInstruction.JumpIfGreater(l, 0, Fails)],
            "SCMP_CMP_GE" =>
                [high, BpfInstruction.JumpIfGreater(h, 3, 0), BpfInstruction.JumpIfEqual(h, 0, Fails), low, BpfInstruction.JumpIfAtLeast(l, 0, Fails)],
            "SCMP_CMP_LT" =>
                [high, BpfInstruction.JumpIfGreater(h, Fails, 0), BpfInstruction.JumpIfEqual(h, 0, 2), low, BpfInstruction.JumpIfAtLeast(l, Fails, 0)],
            "SCMP_CMP_LE" =>
                [high, BpfInstruction.JumpIfGreater(h, Fails, 0), BpfInstruction.JumpIfEqual(h, 0, 2), low, BpfInstruction.JumpIfGreater(l, Fails, 0)],
            "SCMP_CMP_MASKED_EQ" =>
            [
                high, BpfInstruction.And(h), BpfInstruction.JumpIfEqual((uint)(c.SecondValue >> 32), 0, Fails),
                low, BpfInstruction.And(l), BpfInstruction.JumpIfEqual((uint)c.SecondValue, 0, Fails),
            ],
            _ => throw new StageException($"seccomp: the comparison '{c.Operator}' is not supported"),
        };
    }
}
