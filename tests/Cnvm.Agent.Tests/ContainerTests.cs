using Cnvm.Agent.Protocol;
using Cnvm.Ttrpc;

namespace Cnvm.Agent.Tests;

/// <summary>Containers of busybox on this machine.</summary>
public sealed class ContainerTests(AgentFixture agent) : IClassFixture<AgentFixture>
{
    private static int s_number;

    private TestContainer Make()
    {
        Skip.If(agent.Obstacle is not null, agent.Obstacle);
        return new TestContainer(agent, $"c{Interlocked.Increment(ref s_number)}");
    }

    [SkippableFact]
    public async Task Output_errors_and_exit_code_come_through()
    {
        (int code, string output, string errors) = await Make().RunAsync("echo out; echo err >&2; exit 7");
        Assert.Equal((7, "out\n", "err\n"), (code, output, errors));
    }

    [SkippableFact]
    public async Task First_process_is_alone_in_its_namespaces()
    {
        (int code, string output, _) = await Make().RunAsync(
            "echo $$; hostname; ls /; ls /proc | grep -c '^[0-9]'; cat /proc/self/cgroup",
            s => s with { Hostname = "inside" });
        Assert.Equal(0, code);
        Assert.StartsWith("1\ninside\nbin\ndev\netc\nproc\nsys\ntmp\n", output);
        Assert.Contains("0::/\n", output);
        Assert.NotEqual("inside", Environment.MachineName);
    }

    [SkippableFact]
    public async Task Devices_links_masks_and_read_only_paths_are_as_the_specification_says()
    {
        (int code, string output, string errors) = await Make().RunAsync(
            """
            echo x >/dev/null && head -c 3 /dev/zero | wc -c; stat -c '%F %t:%T %a' /dev/full
            ls -l /dev/ptmx | grep -o 'pts/ptmx'; cat /dev/fd/0 </etc/group | head -1
            stat -c %F /proc/interrupts; touch /proc/sys/kernel/x; touch /sys/x; echo 1 >/proc/sys/kernel/printk; echo done
            """);
        Assert.Equal(0, code);
        Assert.Equal("3\ncharacter special file 1:7 666\npts/ptmx\nroot:x:0:\ncharacter special file\ndone\n", output);
        Assert.Contains("Read-only file system", errors);
    }

    [SkippableFact]
    public async Task Root_and_binds_can_be_read_only()
    {
        TestContainer container = Make();
        string folder = Directory.CreateDirectory(Path.Combine(agent.Folder, "volume-" + container.Id)).FullName;
        File.WriteAllText(Path.Combine(folder, "f"), "content");
        (_, string output, string errors) = await container.RunAsync(
            "cat /a/f; touch /a/g && echo written; touch /b/g; touch /x; cat /file",
            s => s with
            {
                Root = s.Root! with { Readonly = true },
                Mounts =
                [
                    .. s.Mounts,
                    new Mount { Destination = "/a", Type = "bind", Source = folder, Options = ["rbind", "rprivate"] },
                    new Mount { Destination = "/b", Type = "bind", Source = folder, Options = ["bind", "ro"] },
                    new Mount { Destination = "/file", Type = "bind", Source = Path.Combine(folder, "f"), Options = ["bind", "ro"] },
                ],
            });
        Assert.Equal("contentwritten\ncontent", output);
        Assert.Contains("/b/g: Read-only", errors);
        Assert.Contains("/x: Read-only", errors);
        Assert.True(File.Exists(Path.Combine(folder, "g")));
    }

    [SkippableFact]
    public async Task User_groups_rights_and_limits_are_set()
    {
        (int code, string output, _) = await Make().RunAsync(
            "id; grep -E '^(Cap|NoNew|Seccomp:)' /proc/self/status; ulimit -n; pwd; echo $HOME; cat /proc/self/oom_score_adj; echo again >/dev/stdout",
            s => s with
            {
                Process = s.Process! with
                {
                    User = new User { Uid = 1234, Gid = 2345, AdditionalGids = [42] },
                    Cwd = "/made/here",
                    Rlimits = [new POSIXRlimit { Type = "RLIMIT_NOFILE", Soft = 77, Hard = 88 }],
                    OomScoreAdj = 500,
                    Capabilities = new LinuxCapabilities { Bounding = ["CAP_CHOWN", "CAP_KILL"], Permitted = ["CAP_CHOWN", "CAP_KILL"], Inheritable = ["CAP_KILL"], Ambient = ["CAP_KILL"] },
                },
            });
        Assert.Equal(0, code);
        Assert.StartsWith("uid=1234(anna) gid=2345(anna) groups=42", output);
        Assert.Contains("CapInh:\t0000000000000020\nCapPrm:\t0000000000000020\nCapEff:\t0000000000000020\nCapBnd:\t0000000000000021\nCapAmb:\t0000000000000020\nNoNewPrivs:\t1\nSeccomp:\t0\n", output);
        Assert.EndsWith("77\n/made/here\n/home/anna\n500\nagain\n", output);
    }

    [SkippableFact]
    public async Task Users_are_known_by_name_in_the_container()
    {
        (_, string output, _) = await Make().RunAsync("id", s => s with { Process = s.Process! with { User = new User { Username = "anna" } } });
        Assert.Equal("uid=1234(anna) gid=2345(anna) groups=777(music)\n", output);
        TtrpcException e = await Assert.ThrowsAsync<TtrpcException>(
            () => Make().RunAsync("id", s => s with { Process = s.Process! with { User = new User { Username = "nobody-here" } } }));
        Assert.Contains("user 'nobody-here'", e.Message);
    }

    [SkippableTheory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Filters_hold_with_and_without_no_new_privileges(bool noNewPrivileges)
    {
        (int code, string output, string errors) = await Make().RunAsync(
            "mkdir /tmp/x; kill -9 $$ 2>&1; grep Seccomp: /proc/self/status; grep NoNew /proc/self/status; hostname other; echo still",
            s => s with
            {
                Process = s.Process! with { NoNewPrivileges = noNewPrivileges },
                Linux = s.Linux! with
                {
                    Seccomp = new LinuxSeccomp
                    {
                        DefaultAction = "SCMP_ACT_ALLOW",
                        Architectures = ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"],
                        Syscalls =
                        [
                            new LinuxSyscall { Names = ["mkdir", "mkdirat", "no_such_call"], Action = "SCMP_ACT_ERRNO", Errnoret = 28 },
                            new LinuxSyscall { Names = ["kill"], Action = "SCMP_ACT_ERRNO", Args = [new LinuxSeccompArg { Index = 1, Value = 9, Op = "SCMP_CMP_EQ" }] },
                        ],
                    },
                },
            });
        Assert.Equal(0, code);
        Assert.Contains("No space left on device", errors);
        Assert.Contains("Operation not permitted", output);
        Assert.Contains($"Seccomp:\t2\nNoNewPrivs:\t{(noNewPrivileges ? 1 : 0)}\nstill\n", output);
    }

    [SkippableFact]
    public async Task Input_is_written_and_closed()
    {
        TestContainer container = Make();
        await container.CreateAsync(container.Spec("tr a-z A-Z; echo end"));
        await container.StartAsync();
        await container.WriteAsync("hello\n");
        await container.CloseInputAsync();
        Assert.Equal((0, "HELLO\nend\n", ""), await container.EndAsync(""));
        await container.RemoveAsync();
    }

    [SkippableFact]
    public async Task Further_processes_are_in_the_container()
    {
        TestContainer container = Make();
        await container.CreateAsync(container.Spec("echo $$; sleep 1000"));
        await container.StartAsync();
        Assert.Equal("1\n", await container.ReadAsync());
        (int code, string output, _) = await container.ExecuteToEndAsync("e1", "ps -o pid,args; cat /proc/self/cgroup; grep CapEff /proc/self/status; exit 3");
        Assert.Equal(3, code);
        Assert.Contains("    1 sleep 1000\n", output);
        Assert.Contains("0::/\n", output);
        TtrpcException e = await Assert.ThrowsAsync<TtrpcException>(() => container.ExecuteAsync("e2", TestContainer.Process("x") with { Args = ["no-such-program"] }));
        Assert.Contains("\"no-such-program\": executable file not found", e.Message);
        e = await Assert.ThrowsAsync<TtrpcException>(() => container.ExecuteAsync("e1", TestContainer.Process("true")));
        Assert.Equal(TtrpcCode.AlreadyExists, e.Code);
        await container.RemoveAsync();
        e = await Assert.ThrowsAsync<TtrpcException>(() => container.WaitAsync());
        Assert.Equal(TtrpcCode.NotFound, e.Code);
    }

    [SkippableFact]
    public async Task Signals_reach_one_or_all()
    {
        TestContainer container = Make();
        await container.CreateAsync(container.Spec("trap 'echo caught; exit 5' USR1; echo ready; while true; do sleep 0.1; done"));
        await container.StartAsync();
        await container.ReadUntilAsync("ready");
        await container.ExecuteAsync("other", TestContainer.Process("sleep 1000"));
        await container.SignalAsync(9, "other");
        Assert.Equal(137, await container.WaitAsync("other"));
        await container.SignalAsync(10, container.Id);
        Assert.Equal(5, await container.WaitAsync());
        await container.RemoveAsync();

        container = Make();
        await container.CreateAsync(container.Spec("sleep 1000 & sleep 1000"));
        await container.StartAsync();
        // The first of a PID namespace that does not handle SIGTERM would never get it.
        await container.SignalAsync(15, "");
        Assert.Equal(137, await container.WaitAsync());
        await container.RemoveAsync();
    }

    [SkippableFact]
    public async Task Thousands_of_processes_that_are_killed_come_and_go()
    {
        const int AtOnce = 8;
        const int Rounds = 300;
        const int MostDescriptors = 200;
        TestContainer[] pod = [Make(), Make()];
        foreach (TestContainer container in pod)
        {
            await container.CreateAsync(container.Spec("echo up; exec sleep 100000"));
            await container.StartAsync();
            await container.ReadUntilAsync("up");
        }

        for (int round = 0; round < Rounds; round++)
        {
            int number = round;
            await Task.WhenAll(Enumerable.Range(0, AtOnce).Select(i => KillOneAsync(pod[i % pod.Length], $"p{number}-{i}")));
        }

        // One with a terminal keeps none either.
        for (int i = 0; i < MostDescriptors; i++)
        {
            await pod[0].ExecuteAsync($"t{i}", TestContainer.Process("") with { Args = ["/bin/true"], Terminal = true });
            Assert.Equal((0, "", ""), await pod[0].EndAsync($"t{i}", hasTerminal: true));
        }

        Assert.InRange(agent.Descriptors, 1, MostDescriptors);
        foreach (TestContainer container in pod)
        {
            Assert.Single(File.ReadAllLines($"{agent.Groups}/{container.Id}/cgroup.procs"));
            Assert.Equal((3, "still\n", ""), await container.ExecuteToEndAsync("last", "echo still; exit 3"));
            await container.RemoveAsync();
        }

        static async Task KillOneAsync(TestContainer container, string name)
        {
            await container.ExecuteAsync(name, TestContainer.Process("") with { Args = ["/bin/sleep", "1000"] });
            await container.SignalAsync(9, name);
            Assert.Equal((137, "", ""), await container.EndAsync(name));
        }
    }

    [SkippableFact]
    public async Task Terminals_have_a_size_and_a_console()
    {
        TestContainer container = Make();
        Spec spec = container.Spec("stty size; test -t 0 && test -c /dev/console && echo terminal; read line; stty size; echo got $line");
        await container.CreateAsync(spec with { Process = spec.Process! with { Terminal = true, ConsoleSize = new Box { Height = 33, Width = 111 } } });
        await container.StartAsync();
        await container.ReadUntilAsync("33 111\r\nterminal\r\n");
        await agent.CallAsync<TtyWinResizeRequest, Empty>(AgentService.TtyWinResize, new TtyWinResizeRequest { ContainerId = container.Id, Row = 44, Column = 99 });
        await container.WriteAsync("words\n");
        (int code, string output, _) = await container.EndAsync("", hasTerminal: true);
        Assert.Equal(0, code);
        Assert.Contains("44 99\r\ngot words\r\n", output);
        await container.RemoveAsync();
    }

    [SkippableFact]
    public async Task Paused_containers_stand_still()
    {
        TestContainer container = Make();
        await container.CreateAsync(container.Spec("while read line; do echo $line; done"));
        await container.StartAsync();
        await container.WriteAsync("one\n");
        Assert.Equal("one\n", await container.ReadAsync());
        await agent.CallAsync<PauseContainerRequest, Empty>(AgentService.PauseContainer, new PauseContainerRequest { ContainerId = container.Id });
        await container.WriteAsync("two\n");
        Task<string?> next = container.ReadAsync();
        Assert.NotSame(next, await Task.WhenAny(next, Task.Delay(300)));
        await agent.CallAsync<ResumeContainerRequest, Empty>(AgentService.ResumeContainer, new ResumeContainerRequest { ContainerId = container.Id });
        Assert.Equal("two\n", await next);
        await agent.CallAsync<PauseContainerRequest, Empty>(AgentService.PauseContainer, new PauseContainerRequest { ContainerId = container.Id });
        await container.RemoveAsync();
    }

    [SkippableFact]
    public async Task Pods_share_process_ids_and_host_name()
    {
        TestContainer first = Make();
        TestContainer second = Make();
        await first.CreateAsync(first.Spec("echo up; sleep 1000") with { Hostname = "pod" }, sharesProcessIds: true);
        await first.StartAsync();
        await first.ReadUntilAsync("up");
        await second.CreateAsync(second.Spec("echo $$; ps -o args; hostname"), sharesProcessIds: true);
        await second.StartAsync();
        (int code, string output, _) = await second.EndAsync("");
        Assert.Equal(0, code);
        Assert.False(output.StartsWith("1\n"), output);
        Assert.Contains("sleep 1000", output);
        Assert.EndsWith("pod\n", output);
        await second.RemoveAsync();
        await first.RemoveAsync();
    }

    [SkippableFact]
    public async Task Output_that_nobody_reads_stops_its_process_only()
    {
        TestContainer container = Make();
        await container.CreateAsync(container.Spec("yes | head -c 1000000; echo over >&2"));
        await container.StartAsync();
        Task<string?> errors = container.ReadAsync(stream: AgentService.ReadStderr);
        Assert.NotSame(errors, await Task.WhenAny(errors, Task.Delay(300)));
        int read = 0;
        while (await container.ReadAsync() is { } part)
        {
            read += part.Length;
        }

        Assert.Equal(1_000_000, read);
        Assert.Equal("over\n", await errors);
        await container.RemoveAsync();
    }

    [SkippableFact]
    public async Task Statistics_count_processes()
    {
        TestContainer container = Make();
        await container.CreateAsync(container.Spec("echo up; sleep 1000"));
        await container.StartAsync();
        await container.ReadUntilAsync("up");
        StatsContainerResponse stats = await agent.CallAsync<StatsContainerRequest, StatsContainerResponse>(
            AgentService.StatsContainer, new StatsContainerRequest { ContainerId = container.Id });
        Assert.InRange(stats.CgroupStats!.PidsStats!.Current, 1UL, 2UL);
        Assert.Contains(stats.NetworkStats, n => n.Name == "lo");
        await container.RemoveAsync();
    }

    [SkippableFact]
    public async Task Nothing_is_left_of_a_container()
    {
        for (int i = 0; i < 20; i++)
        {
            Assert.Equal(0, (await Make().RunAsync("sleep 1000 & true")).Code);
        }

        Assert.DoesNotContain(Directory.GetDirectories(agent.Groups), d => File.ReadAllText(d + "/cgroup.procs").Length > 0);
        Assert.Contains("ended with code 0", agent.Log);
    }
}
