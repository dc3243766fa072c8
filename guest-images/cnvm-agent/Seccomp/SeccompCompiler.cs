using Cnvm.GuestAgent.Stage;
using Cnvm.Linux;

namespace Cnvm.GuestAgent.Seccomp;

/// <summary>
/// Makes classic BPF of a profile: the architecture, then a search by halves for the number of the call, so that the longest way is short
/// and the kernel can precompute calls that are always allowed.
/// </summary>
internal static class SeccompCompiler
{
    private const int MostInstructions = 4096;
    private const uint X86_64 = 0xc000003e;
    private const uint I386 = 0x40000003;
    private const uint FirstX32 = 0x40000000;
    private const uint KillProcess = 0x80000000;
    private const uint NotThere = 0x50000 | Errno.ENOSYS;
    private const uint NumberOffset = 0;
    private const uint ArchitectureOffset = 4;
    private const uint ErrorAction = 0x50000;
    private const uint TraceAction = 0x7ff00000;

    private static readonly Dictionary<string, uint> Flags = new()
    {
        ["SECCOMP_FILTER_FLAG_TSYNC"] = 0,
        ["SECCOMP_FILTER_FLAG_LOG"] = 2,
        ["SECCOMP_FILTER_FLAG_SPEC_ALLOW"] = 4,
    };

    /// <exception cref="StageException">An action, comparison or flag is not known, or it is too long.</exception>
    public static sock_filter[] Compile(SeccompProfile profile)
    {
        uint otherwise = ActionOf(profile.DefaultAction, null);
        SortedDictionary<int, SeccompCall> calls = Collect(profile, otherwise);
        List<sock_filter> tree = EmitRange(Segments(calls, otherwise));
        var program = new List<sock_filter>
        {
            BpfInstruction.Load(ArchitectureOffset),
            BpfInstruction.JumpIfEqual(X86_64, 3, 0),
            // Calls of other architectures have other numbers. The sandbox's kernel has none of them.
            BpfInstruction.JumpIfEqual(I386, profile.Architectures.Contains("SCMP_ARCH_X86") ? (byte)0 : (byte)1, 1),
            BpfInstruction.Return(NotThere),
            BpfInstruction.Return(KillProcess),
            BpfInstruction.Load(NumberOffset),
            BpfInstruction.JumpIfAtLeast(FirstX32, 0, 1),
            BpfInstruction.Return(NotThere),
        };
        program.AddRange(tree);
        return program.Count <= MostInstructions
            ? [.. program]
            : throw new StageException($"seccomp: the filter has {program.Count} instructions; the kernel takes {MostInstructions}");
    }

    /// <exception cref="StageException">A flag is not known.</exception>
    public static uint FlagsOf(SeccompProfile profile)
    {
        uint bits = 0;
        foreach (string flag in profile.Flags)
        {
            bits |= Flags.TryGetValue(flag, out uint bit) ? bit : throw new StageException($"seccomp: the flag {flag} is not supported");
        }

        return bits;
    }

    private static uint ActionOf(string name, uint? error) => name switch
    {
        "SCMP_ACT_KILL" or "SCMP_ACT_KILL_THREAD" => 0,
        "SCMP_ACT_KILL_PROCESS" => KillProcess,
        "SCMP_ACT_TRAP" => 0x30000,
        "SCMP_ACT_ERRNO" => ErrorAction | ((error ?? Errno.EPERM) & 0xffff),
        "SCMP_ACT_TRACE" => TraceAction | ((error ?? Errno.EPERM) & 0xffff),
        "SCMP_ACT_LOG" => 0x7ffc0000,
        "SCMP_ACT_ALLOW" => 0x7fff0000,
        _ => throw new StageException($"seccomp: the action '{name}' is not supported"),
    };

    private static SortedDictionary<int, SeccompCall> Collect(SeccompProfile profile, uint otherwise)
    {
        var calls = new SortedDictionary<int, SeccompCall>();
        foreach (SeccompRule rule in profile.Rules)
        {
            uint action = ActionOf(rule.Action, rule.ErrorNumber);
            foreach (string name in rule.Names)
            {
                if (SyscallNumbers.NumberOf(name) is not { } number)
                {
                    continue;
                }

                if (!calls.TryGetValue(number, out SeccompCall? call))
                {
                    call = new SeccompCall(otherwise);
                    calls.Add(number, call);
                }

                call.Add(rule.Conditions, action);
            }
        }

        return calls;
    }

    private static List<(uint Start, List<sock_filter> Leaf)> Segments(SortedDictionary<int, SeccompCall> calls, uint otherwise)
    {
        var segments = new List<(uint Start, List<sock_filter> Leaf)> { (0, [BpfInstruction.Return(otherwise)]) };
        foreach ((int number, SeccompCall call) in calls)
        {
            Begin(segments, (uint)number, call.Emit());
            Begin(segments, (uint)number + 1, [BpfInstruction.Return(otherwise)]);
        }

        return segments;
    }

    private static void Begin(List<(uint Start, List<sock_filter> Leaf)> segments, uint start, List<sock_filter> leaf)
    {
        if (segments[^1].Start == start)
        {
            segments.RemoveAt(segments.Count - 1);
        }

        if (segments.Count == 0 || !IsSame(segments[^1].Leaf, leaf))
        {
            segments.Add((start, leaf));
        }
    }

    private static bool IsSame(List<sock_filter> left, List<sock_filter> right)
    {
        bool isSame = left.Count == right.Count;
        for (int i = 0; isSame && i < left.Count; i++)
        {
            isSame = (left[i].code, left[i].jt, left[i].jf, left[i].k) == (right[i].code, right[i].jt, right[i].jf, right[i].k);
        }

        return isSame;
    }

    private static List<sock_filter> EmitRange(List<(uint Start, List<sock_filter> Leaf)> segments)
    {
        if (segments.Count == 1)
        {
            return segments[0].Leaf;
        }

        int middle = segments.Count / 2;
        List<sock_filter> below = EmitRange(segments[..middle]);
        List<sock_filter> above = EmitRange(segments[middle..]);
        // Conditional jumps reach 255 instructions.
        List<sock_filter> code = below.Count <= byte.MaxValue
            ? [BpfInstruction.JumpIfAtLeast(segments[middle].Start, (byte)below.Count, 0)]
            : [BpfInstruction.JumpIfAtLeast(segments[middle].Start, 0, 1), BpfInstruction.Jump((uint)below.Count)];
        code.AddRange(below);
        code.AddRange(above);
        return code;
    }
}
