using Cnvm.Agent.Protocol;
using Cnvm.Ttrpc;

namespace Cnvm.Agent.Tests;

/// <summary>What is wrong is answered, and leaves nothing.</summary>
public sealed class RefusalTests(AgentFixture agent) : IClassFixture<AgentFixture>
{
    private static readonly Hook[] OneHook = [new Hook { Path = "/bin/hook" }];
    private static int s_number;

    public static TheoryData<string, string> Specifications() => new()
    {
        { "root", "root.path" },
        { "missing-root", "/no/such/folder is no folder" },
        { "args", "process.args is empty" },
        { "program", "executable file not found" },
        { "directory", "Permission denied" },
        { "prestart", "hooks.prestart (/bin/hook)" },
        { "createRuntime", "hooks.createRuntime (/bin/hook)" },
        { "createContainer", "hooks.createContainer (/bin/hook)" },
        { "startContainer", "hooks.startContainer (/bin/hook)" },
        { "poststart", "hooks.poststart (/bin/hook)" },
        { "poststop", "hooks.poststop (/bin/hook)" },
        { "user-namespace", "namespaces of type user" },
        { "limit", "RLIMIT_NONSENSE" },
        { "mount", "/mnt" },
        { "seccomp", "SCMP_ACT_DANCE" },
        { "sysctl", "kernel.no_such_thing" },
    };

    [SkippableTheory]
    [MemberData(nameof(Specifications))]
    public async Task Broken_specifications_are_explained(string what, string message)
    {
        TestContainer container = Make();
        TtrpcException e = await Assert.ThrowsAsync<TtrpcException>(() => container.RunAsync("true", s => Break(s, what)));
        Assert.Contains(message, e.Message);
        if (what is not ("program" or "directory"))
        {
            e = await Assert.ThrowsAsync<TtrpcException>(container.RemoveAsync);
            Assert.Equal(TtrpcCode.NotFound, e.Code);
            Assert.False(Directory.Exists($"{agent.Groups}/{container.Id}"));
        }
        else
        {
            await container.RemoveAsync();
        }
    }

    [SkippableTheory]
    [InlineData("")]
    [InlineData("../x")]
    [InlineData(".hidden")]
    [InlineData("a/b")]
    [InlineData("a b")]
    public async Task Names_are_checked(string name)
    {
        TestContainer container = Make();
        TtrpcException e = await Assert.ThrowsAsync<TtrpcException>(() => agent.CallAsync<CreateContainerRequest, Empty>(
            AgentService.CreateContainer, new CreateContainerRequest { ContainerId = name, Oci = container.Spec("true") }));
        Assert.Equal(TtrpcCode.InvalidArgument, e.Code);
    }

    [SkippableFact]
    public async Task Links_in_a_root_do_not_lead_out_of_it()
    {
        TestContainer container = Make();
        string outside = Directory.CreateDirectory(Path.Combine(agent.Folder, "outside")).FullName;
        Directory.CreateDirectory(container.Root + outside);
        File.CreateSymbolicLink(Path.Combine(container.Root, "link"), outside);
        File.CreateSymbolicLink(Path.Combine(container.Root, "up"), "../../../../../..");
        (int code, string output, _) = await container.RunAsync("ls /up/mounted /up", s => s with
        {
            Mounts = [.. s.Mounts, new Mount { Destination = "/link/made/here", Type = "tmpfs" }, new Mount { Destination = "/up/mounted", Type = "tmpfs" }],
        });
        Assert.Equal(0, code);
        Assert.Contains("bin\n", output);
        Assert.Empty(Directory.GetFileSystemEntries(outside));
        Assert.True(Directory.Exists(container.Root + outside + "/made/here"));
        Assert.True(Directory.Exists(container.Root + "/mounted"));
    }

    [SkippableFact]
    public async Task Copies_stay_in_the_sandbox_folder()
    {
        Skip.If(agent.Obstacle is not null, agent.Obstacle);
        foreach (string path in (string[])["/etc/passwd", "/run/kata-containers/../../etc/x", "run/kata-containers/x", "/run/kata-containersx/y"])
        {
            TtrpcException e = await Assert.ThrowsAsync<TtrpcException>(() => agent.CallAsync<CopyFileRequest, Empty>(
                AgentService.CopyFile, new CopyFileRequest { Path = path, FileSize = 1, Data = new byte[1] }));
            Assert.Equal(TtrpcCode.InvalidArgument, e.Code);
        }
    }

    [SkippableFact]
    public async Task Unknown_calls_and_unknown_names_are_told_apart()
    {
        Skip.If(agent.Obstacle is not null, agent.Obstacle);
        TtrpcException e = await Assert.ThrowsAsync<TtrpcException>(() => agent.CallAsync<Empty, Empty>("SetPolicy", new Empty()));
        Assert.Equal(TtrpcCode.Unimplemented, e.Code);
        e = await Assert.ThrowsAsync<TtrpcException>(() => agent.CallAsync<StartContainerRequest, Empty>(
            AgentService.StartContainer, new StartContainerRequest { ContainerId = "nobody" }));
        Assert.Equal(TtrpcCode.NotFound, e.Code);
    }

    private TestContainer Make()
    {
        Skip.If(agent.Obstacle is not null, agent.Obstacle);
        return new TestContainer(agent, $"r{Interlocked.Increment(ref s_number)}");
    }

    private static Spec Break(Spec s, string what) => what switch
    {
        "root" => s with { Root = new Root { Path = "relative" } },
        "missing-root" => s with { Root = new Root { Path = "/no/such/folder" } },
        "args" => s with { Process = s.Process! with { Args = [] } },
        "program" => s with { Process = s.Process! with { Args = ["no-such-program"] } },
        "directory" => s with { Process = s.Process! with { Args = ["/etc"] } },
        "prestart" => s with { Hooks = new Hooks { Prestart = OneHook } },
        "createRuntime" => s with { Hooks = new Hooks { CreateRuntime = OneHook } },
        "createContainer" => s with { Hooks = new Hooks { CreateContainer = OneHook } },
        "startContainer" => s with { Hooks = new Hooks { StartContainer = OneHook } },
        "poststart" => s with { Hooks = new Hooks { Poststart = OneHook } },
        "poststop" => s with { Hooks = new Hooks { Poststop = OneHook } },
        "user-namespace" => s with { Linux = s.Linux! with { Namespaces = [.. s.Linux.Namespaces, new LinuxNamespace { Type = "user" }] } },
        "limit" => s with { Process = s.Process! with { Rlimits = [new POSIXRlimit { Type = "RLIMIT_NONSENSE" }] } },
        "mount" => s with { Mounts = [.. s.Mounts, new Mount { Destination = "/mnt", Type = "no-such-file-system", Source = "x" }] },
        "seccomp" => s with { Linux = s.Linux! with { Seccomp = new LinuxSeccomp { DefaultAction = "SCMP_ACT_DANCE" } } },
        "sysctl" => s with { Linux = s.Linux! with { Sysctl = new Dictionary<string, string> { ["kernel.no_such_thing"] = "1" } } },
        _ => throw new ArgumentException(what),
    };
}
