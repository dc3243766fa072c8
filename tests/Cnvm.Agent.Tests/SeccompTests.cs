using Cnvm.GuestAgent.Seccomp;
using Cnvm.GuestAgent.Stage;
using Cnvm.Linux;

namespace Cnvm.Agent.Tests;

/// <summary>Filters, run by a small machine for classic BPF.</summary>
public sealed class SeccompTests
{
    private const uint Allow = 0x7fff0000;
    private const uint Denied = 0x50001;
    private const uint Missing = 0x50026;
    private const uint Kill = 0x80000000;
    private const uint X86_64 = 0xc000003e;

    [Fact]
    public void Names_have_the_numbers_of_the_headers()
    {
        const string Header = "/usr/include/x86_64-linux-gnu/asm/unistd_64.h";
        string[][] defined =
        [
            .. File.ReadLines(Header).Select(l => l.Split(' ')).Where(w => w is ["#define", _, _] && w[1].StartsWith("__NR_")),
        ];
        Assert.True(defined.Length > 300);
        Assert.All(defined, w => Assert.Equal(int.Parse(w[2]), SyscallNumbers.NumberOf(w[1]["__NR_".Length..])));
        Assert.Null(SyscallNumbers.NumberOf("no_such_call"));
    }

    [Fact]
    public void Calls_find_their_actions()
    {
        string[] allowed = ["read", "write", "openat", "execve", "exit_group", "futex_wait", "clone3"];
        sock_filter[] filter = SeccompCompiler.Compile(new SeccompProfile("SCMP_ACT_ERRNO", ["SCMP_ARCH_X86_64"], [],
            [new SeccompRule([.. allowed, "no_such_call"], "SCMP_ACT_ALLOW", null, []), new SeccompRule(["mkdir"], "SCMP_ACT_ERRNO", 28, [])]));
        int[] numbers = [.. allowed.Select(n => SyscallNumbers.NumberOf(n)!.Value)];
        for (int number = 0; number < 600; number++)
        {
            uint expected = numbers.Contains(number) ? Allow : number == 83 ? 0x5001cu : Denied;
            Assert.Equal(expected, Run(filter, X86_64, (uint)number));
        }

        Assert.Equal(Missing, Run(filter, X86_64, 0x40000000));
        Assert.Equal(Kill, Run(filter, 0x40000003, 3));
        Assert.Equal(Kill, Run(filter, 0xc00000b7, 0));
    }

    [Fact]
    public void Every_second_call_still_fits_into_jumps()
    {
        string[] all = [.. Enumerable.Range(0, 335).Where(n => n % 2 == 0).Select(Name)];
        sock_filter[] filter = SeccompCompiler.Compile(new SeccompProfile("SCMP_ACT_ERRNO", [], [],
            [.. all.Select(n => new SeccompRule([n], "SCMP_ACT_ALLOW", null, [new SeccompCondition(0, 7, 0, "SCMP_CMP_NE")]))]));
        Assert.True(filter.Length > 800);
        for (uint number = 0; number < 335; number++)
        {
            Assert.Equal(number % 2 == 0 ? Allow : Denied, Run(filter, X86_64, number, 8));
            Assert.Equal(Denied, Run(filter, X86_64, number, 7));
        }
    }

    [Theory]
    [InlineData("SCMP_CMP_EQ", 0x1_0000_0005, "a==v")]
    [InlineData("SCMP_CMP_NE", 0x1_0000_0005, "a!=v")]
    [InlineData("SCMP_CMP_LT", 0x1_0000_0005, "a<v")]
    [InlineData("SCMP_CMP_LE", 0x1_0000_0005, "a<=v")]
    [InlineData("SCMP_CMP_GT", 0x1_0000_0005, "a>v")]
    [InlineData("SCMP_CMP_GE", 0x1_0000_0005, "a>=v")]
    public void Comparisons_have_64_bits(string name, long value, string meaning)
    {
        sock_filter[] filter = SeccompCompiler.Compile(new SeccompProfile("SCMP_ACT_ERRNO", [], [],
            [new SeccompRule(["read"], "SCMP_ACT_ALLOW", null, [new SeccompCondition(2, (ulong)value, 0, name)])]));
        ulong v = (ulong)value;
        foreach (ulong a in (ulong[])[0, 4, 5, 6, v - 1, v, v + 1, 0x0_ffff_ffff, 0x2_0000_0000, 0x2_0000_0005, ulong.MaxValue, 1UL << 63])
        {
            bool holds = meaning switch { "a==v" => a == v, "a!=v" => a != v, "a<v" => a < v, "a<=v" => a <= v, "a>v" => a > v, _ => a >= v };
            Assert.Equal(holds ? Allow : Denied, Run(filter, X86_64, 0, 0, 0, a));
        }
    }

    [Fact]
    public void Masks_and_several_conditions_hold_together()
    {
        sock_filter[] filter = SeccompCompiler.Compile(new SeccompProfile("SCMP_ACT_ALLOW", [], [],
        [
            new SeccompRule(["clone"], "SCMP_ACT_ERRNO", 1, [new SeccompCondition(0, 0x7e020000, 0x10000000, "SCMP_CMP_MASKED_EQ"), new SeccompCondition(1, 0, 0, "SCMP_CMP_EQ")]),
            new SeccompRule(["socket"], "SCMP_ACT_KILL_PROCESS", null, [new SeccompCondition(0, 40, 0, "SCMP_CMP_EQ"), new SeccompCondition(0, 38, 0, "SCMP_CMP_EQ")]),
        ]));
        Assert.Equal(Denied, Run(filter, X86_64, 56, 0x10000011, 0));
        Assert.Equal(Allow, Run(filter, X86_64, 56, 0x10000011, 1));
        Assert.Equal(Allow, Run(filter, X86_64, 56, 0x11, 0));
        Assert.Equal(Kill, Run(filter, X86_64, 41, 40));
        Assert.Equal(Kill, Run(filter, X86_64, 41, 38));
        Assert.Equal(Allow, Run(filter, X86_64, 41, 2));
    }

    [Fact]
    public void What_is_not_supported_is_named()
    {
        Assert.Contains("SCMP_ACT_NOTIFY", Refused(new SeccompProfile("SCMP_ACT_NOTIFY", [], [], [])));
        Assert.Contains("argument 6", Refused(new SeccompProfile("SCMP_ACT_ALLOW", [], [],
            [new SeccompRule(["read"], "SCMP_ACT_ERRNO", null, [new SeccompCondition(6, 0, 0, "SCMP_CMP_EQ")])])));
        Assert.Contains("SCMP_CMP_XX", Refused(new SeccompProfile("SCMP_ACT_ALLOW", [], [],
            [new SeccompRule(["read"], "SCMP_ACT_ERRNO", null, [new SeccompCondition(0, 0, 0, "SCMP_CMP_XX")])])));
        Assert.Contains("FLAG_X", Assert.Throws<StageException>(() => SeccompCompiler.FlagsOf(new SeccompProfile("SCMP_ACT_ALLOW", [], ["FLAG_X"], []))).Message);
    }

    private static string Refused(SeccompProfile profile) => Assert.Throws<StageException>(() => SeccompCompiler.Compile(profile)).Message;

    private static string Name(int number) =>
        File.ReadLines("/usr/include/x86_64-linux-gnu/asm/unistd_64.h").Select(l => l.Split(' ')).First(w => w is ["#define", _, _] && w[2] == $"{number}")[1]["__NR_".Length..];

    private static uint Run(sock_filter[] program, uint architecture, uint number, params ulong[] arguments)
    {
        uint accumulator = 0;
        for (int at = 0; ; at++)
        {
            sock_filter i = program[at];
            switch (i.code)
            {
                case 0x20:
                    ulong argument = i.k < 16 ? 0 : (i.k - 16) / 8 is var n && n < (uint)arguments.Length ? arguments[n] : 0;
                    accumulator = i.k == 0 ? number : i.k == 4 ? architecture : (uint)(i.k % 8 == 0 ? argument : argument >> 32);
                    break;
                case 0x54:
                    accumulator &= i.k;
                    break;
                case 0x05:
                    at += (int)i.k;
                    break;
                case 0x15:
                    at += accumulator == i.k ? i.jt : i.jf;
                    break;
                case 0x25:
                    at += accumulator > i.k ? i.jt : i.jf;
                    break;
                case 0x35:
                    at += accumulator >= i.k ? i.jt : i.jf;
                    break;
                case 0x06:
                    return i.k;
                default:
                    throw new InvalidDataException($"instruction {i.code:x}");
            }
        }
    }
}
