using Cnvm.Agent.Protocol;
using Cnvm.GuestAgent.Devices;
using Cnvm.Linux;
using Cnvm.Ttrpc;

namespace Cnvm.Agent.Tests;

/// <summary>Rules about devices, and the programs that they become.</summary>
public sealed class DeviceTests(AgentFixture agent) : IClassFixture<AgentFixture>
{
    private const int Char = DeviceFilter.BPF_DEVCG_DEV_CHAR;
    private const int Block = DeviceFilter.BPF_DEVCG_DEV_BLOCK;
    private const int Mknod = DeviceFilter.BPF_DEVCG_ACC_MKNOD;
    private const int Read = DeviceFilter.BPF_DEVCG_ACC_READ;
    private const int Write = DeviceFilter.BPF_DEVCG_ACC_WRITE;

    /// <summary>A range of majors for experiments: no driver is behind them.</summary>
    private const int Strange = 240;

    [Fact]
    public void The_last_rule_counts_for_each_access_by_itself()
    {
        DeviceRules rules = Rules(
            Rule(false, "a", -1, -1, "rwm"), Rule(true, "c", Strange, -1, "rw"), Rule(false, "c", Strange, 7, "w"), Rule(true, "b", 8, 0, "r"), Rule(true, "b", 8, 0, "w"));

        Assert.True(rules.Allow(Char, Strange, 6, Read | Write));
        Assert.True(rules.Allow(Char, Strange, 7, Read));
        Assert.False(rules.Allow(Char, Strange, 7, Read | Write));
        Assert.True(rules.Allow(Block, 8, 0, Read | Write | Mknod));
        Assert.False(rules.Allow(Block, 8, 1, Read));
        // What every container has, and nodes.
        Assert.True(rules.Allow(Char, 1, 3, Read | Write) && rules.Allow(Char, 136, 44, Read | Write) && rules.Allow(Block, 9, 9, Mknod));
        Assert.True(Rules(Rule(true, "a", 0, 0, "")).Allow(Block, 9, 9, Read | Write));
    }

    [Fact]
    public void Rules_follow_a_disk_to_its_number_here()
    {
        DeviceRules rules = Rules(Rule(false, "a", -1, -1, "rwm"), Rule(true, "b", 8, 16, "rwm")).With(FileCalls.S_IFBLK, 8, 16, 254, 0);
        Assert.True(rules.Allow(Block, 254, 0, Read | Write));
        Assert.False(rules.Allow(Block, 8, 16, Read));
    }

    /// <summary>The program, run here by an interpreter of what it is made of, says what the rules say.</summary>
    [Fact]
    public void Programs_decide_as_the_rules_do()
    {
        var random = new Random(1);
        string[] kinds = ["a", "b", "c"];
        string[] accesses = ["r", "w", "m", "rw", "rm", "wm", "rwm", ""];
        long[] numbers = [-1, 1, 3, 8, Strange, 1L << 40];
        int allowed = 0;
        int forbidden = 0;
        for (int round = 0; round < 300; round++)
        {
            DeviceRules rules = Rules([.. Enumerable.Range(0, random.Next(1, 12)).Select(_ => Rule(
                random.Next(2) == 0, kinds[random.Next(3)], numbers[random.Next(6)], numbers[random.Next(6)], accesses[random.Next(8)]))]);
            ulong[] program = DeviceProgram.Compile(rules);
            for (int i = 0; i < 40; i++)
            {
                (int kind, uint major, uint minor, int access) = (random.Next(1, 3), (uint)numbers[random.Next(1, 5)], (uint)numbers[random.Next(1, 5)], random.Next(1, 8));
                bool expected = rules.Allow(kind, major, minor, access);
                Assert.Equal(expected, Run(program, (uint)((access << 16) | kind), major, minor));
                _ = expected ? allowed++ : forbidden++;
            }
        }

        Assert.True(allowed > 1000 && forbidden > 1000);
    }

    [Fact]
    public void Rules_that_make_no_sense_are_refused()
    {
        Assert.Contains("type 'x'", Assert.ThrowsAny<Exception>(() => Rules(Rule(true, "x", 1, 1, "r"))).Message);
        Assert.Contains("r, w and m", Assert.ThrowsAny<Exception>(() => Rules(Rule(true, "c", 1, 1, "q"))).Message);
        Assert.Contains("1025 rules", Assert.ThrowsAny<Exception>(() => Rules([.. Enumerable.Repeat(Rule(true, "c", 1, 1, "r"), 1025)])).Message);
        Assert.Null(DeviceRules.Of(new LinuxResources()));
    }

    /// <summary>Where the kernel can: a forbidden device is refused, and an allowed one is opened. Where it cannot: the container is.</summary>
    [SkippableFact]
    public async Task A_container_opens_what_its_rules_allow_and_no_more()
    {
        Skip.If(agent.Obstacle is not null, agent.Obstacle);
        var container = new TestContainer(agent, "devices1");
        LinuxDevice[] devices = [Node("/dev/strange0", 0), Node("/dev/strange1", 1)];
        Spec Change(Spec spec) => spec with
        {
            Linux = spec.Linux! with
            {
                Devices = devices,
                Resources = new LinuxResources { Devices = [Rule(false, "a", -1, -1, "rwm"), Rule(true, "c", Strange, 1, "rw")] },
            },
        };
        const string Script = "cat /dev/strange0; cat /dev/strange1; echo x >/dev/null && head -c 1 /dev/urandom | wc -c";
        if (WhyNoFilters() is { } reason)
        {
            TtrpcException e = await Assert.ThrowsAsync<TtrpcException>(() => container.RunAsync(Script, Change));
            Assert.Contains("forbids /dev/strange0", e.Message);
            Assert.Contains(reason, e.Message);
            Assert.False(Directory.Exists($"{agent.Groups}/{container.Id}"));
            return;
        }

        (int code, string output, string errors) = await container.RunAsync(Script, Change);

        Assert.Equal((0, "1\n"), (code, output));
        Assert.Contains("/dev/strange0': Operation not permitted", errors);
        Assert.Contains("/dev/strange1': No such device or address", errors);
    }

    [SkippableFact]
    public async Task Rules_change_while_a_container_runs()
    {
        Skip.If(agent.Obstacle is not null, agent.Obstacle);
        string? reason = WhyNoFilters();
        Skip.If(reason is not null, reason);
        var container = new TestContainer(agent, "devices2");
        Spec spec = container.Spec("exec sleep 1000");
        await container.CreateAsync(spec with { Linux = spec.Linux! with { Devices = [Node("/dev/strange0", 0)] } });
        await container.StartAsync();
        (string Exec, bool Allow, string Expected)[] steps =
            [("e1", false, "Operation not permitted"), ("e2", true, "No such device"), ("e3", false, "Operation not permitted")];
        foreach ((string exec, bool allow, string expected) in steps)
        {
            await agent.CallAsync<UpdateContainerRequest, Empty>(AgentService.UpdateContainer, new UpdateContainerRequest
            {
                ContainerId = container.Id,
                Resources = new LinuxResources { Devices = [Rule(false, "a", -1, -1, "rwm"), Rule(allow, "c", Strange, 0, "rwm")] },
            });
            Assert.Contains(expected, (await container.ExecuteToEndAsync(exec, "cat /dev/strange0")).Errors);
        }

        await container.SignalAsync(9, "");
        await container.WaitAsync();
        await container.RemoveAsync();
    }

    [SkippableFact]
    public async Task Rules_that_forbid_nothing_need_no_kernel_that_can()
    {
        Skip.If(agent.Obstacle is not null, agent.Obstacle);
        var container = new TestContainer(agent, "devices3");
        (int code, _, _) = await container.RunAsync("echo x >/dev/null", s => s with
        {
            Linux = s.Linux! with { Resources = new LinuxResources { Devices = [Rule(true, "a", -1, -1, "rwm")] } },
        });
        Assert.Equal(0, code);
        Assert.Equal(WhyNoFilters() is not null, agent.Log.Contains("devices3: its rules for devices are not in force", StringComparison.Ordinal));
    }

    private static string? WhyNoFilters()
    {
        try
        {
            DeviceFilter.Load(DeviceProgram.Compile(Rules(Rule(true, "a", -1, -1, "rwm")))).Dispose();
            return null;
        }
        catch (LinuxException e)
        {
            return e.Message;
        }
    }

    private static LinuxDevice Node(string path, long minor) => new() { Path = path, Type = "c", Major = Strange, Minor = minor, FileMode = 0x1b6 };

    private static DeviceRules Rules(params LinuxDeviceCgroup[] rules) => DeviceRules.Of(new LinuxResources { Devices = rules })!;

    private static LinuxDeviceCgroup Rule(bool allow, string type, long major, long minor, string access) =>
        new() { Allow = allow, Type = type, Major = major, Minor = minor, Access = access };

    /// <summary>As the kernel runs it, of the instructions that such programs have.</summary>
    private static bool Run(ulong[] program, uint accessType, uint major, uint minor)
    {
        ulong[] register = new ulong[11];
        for (int at = 0; ; at++)
        {
            ulong instruction = program[at];
            int to = (int)(instruction >> 8) & 15;
            int from = (int)(instruction >> 12) & 15;
            short offset = (short)(instruction >> 16);
            ulong constant = (ulong)(int)(instruction >> 32);
            switch ((byte)instruction)
            {
                case 0x61:
                    Assert.Equal(1, from);
                    register[to] = offset switch { 0 => accessType, 4 => major, 8 => minor, _ => throw new InvalidOperationException($"offset {offset}") };
                    break;
                case 0xb7:
                    register[to] = constant;
                    break;
                case 0xbf:
                    register[to] = register[from];
                    break;
                case 0x57:
                    register[to] &= constant;
                    break;
                case 0x77:
                    register[to] >>= (int)constant;
                    break;
                case 0x05:
                    at += offset;
                    break;
                case 0x55:
                    at += register[to] != constant ? offset : 0;
                    break;
                case 0x45:
                    at += (register[to] & constant) != 0 ? offset : 0;
                    break;
                case 0x95:
                    return register[0] == 1;
                default:
                    throw new InvalidOperationException($"instruction {instruction:x}");
            }
        }
    }
}
