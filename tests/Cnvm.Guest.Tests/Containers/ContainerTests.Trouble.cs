using Cnvm.Nested;

namespace Cnvm.Guest.Tests.Containers;

/// <content>What goes wrong, and what is refused.</content>
public abstract partial class ContainerTests
{
    [GuestTheory]
    [InlineData("TERM")]
    [InlineData("KILL")]
    public async Task Containers_outlive_containerd(string signal)
    {
        await using Containerd containerd = await StartAsync();
        await StartCountingAsync(containerd, "lives");

        await containerd.RestartAsync(signal);

        Assert.Equal("RUNNING", await containerd.StatusAsync("lives"));
        await GoesOnAsync(containerd, "lives");
        Assert.Equal("6", await containerd.AskAsync("lives", "echo $((2 * 3))"));
        await using HostProcess events = await containerd.StartAsync(containerd.Ctr("events"));
        CommandResult other = await containerd.RunContainerAsync("other", "exit 5");
        Assert.Equal(5, other.ExitCode);
        Assert.Equal(9, await containerd.EndAsync("lives", "SIGTERM"));

        // The new containerd hears of what the old one's shims have to tell.
        await ExpectEventsAsync(events, "/tasks/exit", "/tasks/delete", "/tasks/exit", "/tasks/delete");
        await containerd.AssertNothingIsLeftAsync();
    }

    [GuestFact]
    public async Task A_shim_that_is_killed_leaves_nothing()
    {
        await using Containerd containerd = await StartAsync();
        await StartCountingAsync(containerd, "killed");
        await StartCountingAsync(containerd, "spared");
        await containerd.KillShimAsync("killed");
        await containerd.RunAsync(containerd.Ctr("container rm killed"));

        await GoesOnAsync(containerd, "spared");
        CommandResult again = await containerd.RunNamesakeAsync("killed", "exit 6");
        Assert.True(again.ExitCode == 6, $"{again}\n{await containerd.LogAsync()}");
        Assert.Equal(137, await containerd.EndAsync("spared"));
        await containerd.AssertNothingIsLeftAsync();
    }

    [GuestFact]
    public async Task What_cannot_be_run_is_refused_and_leaves_nothing()
    {
        await using Containerd containerd = await StartAsync();
        (string Options, string Command, string Says)[] wrong =
        [
            ("", "/no/such/program", "no such file or directory"),
            ("", "no-such-program", "not found"),
            ("", "/etc/passwd", "permission denied"),
            ("--cwd /etc/passwd", "/bin/true", "not a directory"),
            ($"--mount type=bind,src={containerd.Directory}/missing,dst=/here,options=rbind", "/bin/true", "no such file or directory"),
        ];
        foreach ((string options, string command, string says) in wrong)
        {
            string runtime = Runtime is null ? "" : $"--runtime {Shell.Quote(Runtime)}";
            CommandResult result = await containerd.TryRunAsync(containerd.Ctr($"run --rm {options} {runtime} {Containerd.Image} wrong {command}"));
            Output.WriteLine($"{options} {command}: {result.ExitCode} {result.Error.Trim()}");
            Assert.NotEqual(0, result.ExitCode);
            Assert.Contains(says, result.Error, StringComparison.OrdinalIgnoreCase);
            Assert.Equal("", result.Output);

            // ctr removes only what it has started.
            await containerd.TryRunAsync(containerd.Ctr("container rm wrong"));
        }

        await StartCountingAsync(containerd, "right");
        CommandResult exec = await containerd.TryRunAsync(containerd.Ctr("task exec --exec-id wrong right /no/such/program"));
        Assert.NotEqual(0, exec.ExitCode);
        Assert.Contains("no such file or directory", exec.Error, StringComparison.OrdinalIgnoreCase);
        await GoesOnAsync(containerd, "right");
        Assert.Equal(137, await containerd.EndAsync("right"));
        await containerd.AssertNothingIsLeftAsync();
    }

    [GuestFact]
    public async Task A_container_gets_no_more_memory_than_its_limit()
    {
        await using Containerd containerd = await StartAsync();
        await using HostProcess events = await containerd.StartAsync(containerd.Ctr("events"));

        CommandResult result = await containerd.RunContainerAsync("greedy", "exec dd if=/dev/zero of=/dev/null bs=64M count=1", "--memory-limit 33554432");

        Assert.True(result.ExitCode == 137, $"{result}\n{await containerd.LogAsync()}");
        await events.WaitForAsync("/tasks/oom", GuestVm.Patience);
        Assert.Equal(0, (await containerd.RunContainerAsync("modest", "exec dd if=/dev/zero of=/dev/null bs=8M count=1", "--memory-limit 33554432")).ExitCode);
        await containerd.AssertNothingIsLeftAsync();
    }

    [GuestFact]
    public async Task Folders_of_the_host_are_mounted_as_they_are_asked_for()
    {
        await using Containerd containerd = await StartAsync();
        await containerd.RunAsync($"mkdir {containerd.Directory}/volume {containerd.Directory}/fixed && echo from-host >{containerd.Directory}/fixed/file");
        string mounts = $"--mount type=bind,src={containerd.Directory}/volume,dst=/volume,options=rbind:rw --mount type=bind,src={containerd.Directory}/fixed/file,dst=/one/file,options=bind:ro";

        // It ends when its output has come: what is on its way at a task's end is lost in ctr.
        const string Command = "cat /one/file >/volume/copy; (echo x >/one/file) 2>&1; echo after; read end";
        await using (HostProcess container = await containerd.StartAsync(containerd.CtrRun("mounts", Command, "--rm " + mounts)))
        {
            await container.WaitForAsync("Read-only file system", GuestVm.Patience);
            await container.WaitForAsync("after", GuestVm.Patience);
            await container.WriteAsync("end\n");
            Assert.Equal(0, await container.WaitForExitAsync(GuestVm.Patience));
            Assert.Matches("^[^\n]*: Read-only file system\nafter\n$", container.Output);
        }

        Assert.Equal("from-host\nfrom-host", await containerd.RunAsync($"cat {containerd.Directory}/volume/copy {containerd.Directory}/fixed/file"));
        await containerd.AssertNothingIsLeftAsync();
    }

    [GuestFact]
    public async Task Many_further_processes_come_and_go()
    {
        const int AtOnce = 8;
        await using Containerd containerd = await StartAsync();
        await StartCountingAsync(containerd, "busy");

        for (int round = 0; round < Rounds; round++)
        {
            CommandResult[] results = await Task.WhenAll(Enumerable.Range(0, AtOnce).Select(
                i => containerd.ExecAsync("busy", $"echo {i} >>/root/begun; {(i % 2 == 0 ? $"exit {i}" : "kill -KILL $$")}")));
            Assert.Equal(Enumerable.Range(0, AtOnce).Select(i => i % 2 == 0 ? i : 137), results.Select(r => r.ExitCode));
        }

        Assert.Equal($"{Rounds * AtOnce}", await containerd.AskAsync("busy", "wc -l </root/begun"));

        // All of them are gone.
        Assert.Equal("1\n0", await containerd.AskAsync("busy", "ps | grep -c '[a]t $i'; ps | grep -c '[b]egun' || true"));
        await GoesOnAsync(containerd, "busy");
        Assert.Equal(137, await containerd.EndAsync("busy"));
        await containerd.AssertNothingIsLeftAsync();
    }
}
