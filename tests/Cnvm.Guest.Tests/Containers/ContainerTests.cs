using Cnvm.Nested;
using Xunit.Abstractions;

namespace Cnvm.Guest.Tests.Containers;

/// <summary>What `ctr` asks of a runtime. One list for runc, which shows that the tests are right, and for cnvm's shim.</summary>
public abstract partial class ContainerTests(GuestHostFixture fixture, ITestOutputHelper output) : GuestTests(fixture)
{
    /// <summary>A container that counts in its log, and ends with 9 when it is asked to.</summary>
    private const string Counts = "trap 'echo asked; exit 9' TERM; i=0; while :; do i=$((i+1)); echo at $i; sleep 0.1; done";

    /// <summary>Path of the shim; null for runc. Skips the test when it is missing.</summary>
    protected abstract string? Runtime { get; }

    /// <summary>Processes that run further processes in a container, one after the other.</summary>
    protected virtual int Rounds => Soak.IsOn ? 500 : 5;

    protected ITestOutputHelper Output { get; } = output;

    [GuestFact]
    public async Task A_container_prints_and_its_exit_code_passes_through()
    {
        await using Containerd containerd = await StartAsync();

        CommandResult result = await containerd.RunContainerAsync("one", "echo out; echo err >&2; echo $FROM_IMAGE-$ADDED; pwd; exit 7", "--env ADDED=too");

        Assert.True(result.ExitCode == 7, $"{result}\n{await containerd.LogAsync()}");
        Assert.Equal("out\nyes-too\n/root\n", result.Output);
        Assert.Contains("err\n", result.Error, StringComparison.Ordinal);

        // Input to its end, and much both ways. The container ends when its output has come: ctr closes the FIFO at a task's end even while it has not yet written all.
        const string Command = "echo ready; head -c 1000000 | wc -c; head -c 300000 /dev/zero | tr '\\0' x; echo done; read end; wc -c; exit 3";
        await using (HostProcess both = await containerd.StartAsync(containerd.CtrRun("both", Command)))
        {
            await both.WaitForAsync("ready", GuestVm.Patience);
            await both.WriteAsync(new string('y', 1_000_000));
            await both.WaitForAsync("1000000", GuestVm.Patience);
            await both.WaitForAsync(new string('x', 300_000) + "done", GuestVm.Patience);
            await both.WriteAsync("end\n");
            both.CloseInput();
            Assert.Equal(3, await both.WaitForExitAsync(GuestVm.Patience));
        }

        await containerd.AssertNothingIsLeftAsync();
    }

    [GuestFact]
    public async Task A_terminal_takes_lines_and_has_the_size_of_the_outer_one()
    {
        await using Containerd containerd = await StartAsync();
        string command = "stty rows 41 cols 99; " + containerd.CtrRun("term", "tty; while [ \"$(stty size)\" != '41 99' ]; do sleep 0.1; done; echo right size; read word; echo got $word; sh -c 'kill -INT $PPID' ; exit 5", "--rm --tty");

        await using HostProcess process = await containerd.StartAsync($"script --quiet --return --command {Shell.Quote(command)} /dev/null");
        await process.WaitForAsync("/dev/", GuestVm.Patience);
        await process.WaitForAsync("right size", GuestVm.Patience);
        await process.WriteAsync("a-word\n");
        await process.WaitForAsync("got a-word", GuestVm.Patience);

        Assert.Equal(130, await process.WaitForExitAsync(GuestVm.Patience));
        await containerd.AssertNothingIsLeftAsync();
    }

    [GuestFact]
    public async Task A_detached_container_logs_takes_further_processes_and_ends_when_it_is_asked_to()
    {
        await using Containerd containerd = await StartAsync();
        await using HostProcess events = await containerd.StartAsync(containerd.Ctr("events"));
        await StartCountingAsync(containerd, "detached");

        await using (HostProcess further = await containerd.StartAsync(containerd.CtrExec("detached", "echo err >&2; cat; exit 3")))
        {
            await further.WaitForAsync("err", GuestVm.Patience);
            await further.WriteAsync("typed\n");
            await further.WaitForAsync("typed", GuestVm.Patience);
            further.CloseInput();
            Assert.Equal(3, await further.WaitForExitAsync(GuestVm.Patience));
        }

        Assert.Equal("1000:1000 /tmp", await containerd.AskAsync("detached", "echo $(id -u):$(id -g) $PWD", "--user 1000:1000 --cwd /tmp"));

        // The first process of the container is the first one that it sees.
        Assert.Contains("at $i", await containerd.AskAsync("detached", "tr '\\0' ' ' </proc/1/cmdline"), StringComparison.Ordinal);
        Assert.Matches(@"(?m)^\d+", await containerd.RunAsync(containerd.Ctr("task ps detached")));
        Assert.Equal("RUNNING", await containerd.StatusAsync("detached"));

        // A further process is ended on its own.
        await using (HostProcess sleeper = await containerd.StartAsync(containerd.Ctr("task exec --exec-id sleeper detached /bin/sh -c 'echo sleeps; exec sleep 1000'")))
        {
            await sleeper.WaitForAsync("sleeps", GuestVm.Patience);
            await containerd.RunAsync(containerd.Ctr("task kill --signal SIGKILL --exec-id sleeper detached"));
            Assert.Equal(137, await sleeper.WaitForExitAsync(GuestVm.Patience));
        }

        Assert.Equal(9, await containerd.EndAsync("detached", "SIGTERM"));
        Assert.EndsWith("asked", await containerd.RunAsync($"cat {containerd.Directory}/detached.log"), StringComparison.Ordinal);
        await ExpectEventsAsync(events, "/tasks/create", "/tasks/start", "/tasks/exec-added", "/tasks/exec-started", "/tasks/exit", "/tasks/exit", "/tasks/delete");
        await containerd.AssertNothingIsLeftAsync();
    }

    [GuestFact]
    public async Task A_paused_container_stands_still_and_its_figures_can_be_read()
    {
        await using Containerd containerd = await StartAsync();
        await StartCountingAsync(containerd, "still");

        string figures = await containerd.RunAsync(containerd.Ctr("task metrics still"));
        Output.WriteLine(figures);
        Assert.Matches(@"(?m)^pids\.current\s+[1-9]", figures);
        Assert.Matches(@"(?m)^memory\.usage\w*\s+[1-9]", figures);
        Assert.Matches(@"(?m)^cpu(acct)?\.usage\w*\s+[1-9]", figures);

        await containerd.RunAsync(containerd.Ctr("task pause still"));
        Assert.Equal("PAUSED", await containerd.StatusAsync("still"));
        Assert.Equal("", await containerd.RunAsync($"sleep 0.5; a=$(stat -c %s {containerd.Directory}/still.log); sleep 1; [ $a = $(stat -c %s {containerd.Directory}/still.log) ]"));
        await containerd.RunAsync(containerd.Ctr("task resume still"));
        Assert.Equal("RUNNING", await containerd.StatusAsync("still"));
        await GoesOnAsync(containerd, "still");
        Assert.Equal(137, await containerd.EndAsync("still"));
        await containerd.AssertNothingIsLeftAsync();
    }

    [GuestFact]
    public async Task Containers_of_a_pod_share_a_shim_and_end_one_by_one()
    {
        await using Containerd containerd = await StartAsync();
        const string Pod = "--annotation io.kubernetes.cri.sandbox-id=pod --annotation io.kubernetes.cri.container-type=";
        await StartCountingAsync(containerd, "pod", Pod + "sandbox");
        await StartCountingAsync(containerd, "first", Pod + "container");
        await StartCountingAsync(containerd, "second", Pod + "container");

        Assert.Equal("1", await containerd.RunAsync($"cat {containerd.Bundles}/*/address | sort -u | wc -l"));
        await AssertPodAsync(containerd);
        foreach (string id in (string[])["pod", "first", "second"])
        {
            Assert.Equal(id, await containerd.AskAsync(id, $"echo {id} >/root/mine; cat /root/mine"));
        }

        // Each has its own files and processes.
        Assert.Equal("second\n1", await containerd.AskAsync("second", "cat /root/mine; ps | grep -c '[a]t $i'"));
        Assert.Equal(137, await containerd.EndAsync("first"));
        await GoesOnAsync(containerd, "second");
        CommandResult third = await containerd.RunContainerAsync("third", "echo late; exit 4", Pod + "container");
        Assert.Equal((4, "late\n"), (third.ExitCode, third.Output));
        Assert.Equal(137, await containerd.EndAsync("second"));
        Assert.Equal("RUNNING", await containerd.StatusAsync("pod"));
        Assert.Equal(137, await containerd.EndAsync("pod"));
        await containerd.AssertNothingIsLeftAsync();
    }

    private protected Task<Containerd> StartAsync() => Containerd.StartAsync(Host, Runtime);

    /// <summary>A test of a runtime may look here at what makes up the pod `pod`.</summary>
    private protected virtual Task AssertPodAsync(Containerd containerd) => Task.CompletedTask;

    /// <summary>Starts a container whose log is NAME.log and waits until it counts.</summary>
    private protected static async Task StartCountingAsync(Containerd containerd, string id, string options = "")
    {
        await containerd.StartContainerAsync(id, Counts, $"--log-uri file://{containerd.Directory}/{id}.log {options}");
        await GoesOnAsync(containerd, id);
    }

    /// <summary>Waits until a counting container has counted further.</summary>
    private protected static Task GoesOnAsync(Containerd containerd, string id)
    {
        string lines = $"$(grep -c ^at {containerd.Directory}/{id}.log)";
        return containerd.RunAsync($"a={lines}; for i in $(seq 1200); do [ \"{lines}\" -gt \"$a\" ] && exit 0; sleep 0.1; done; echo stays at $a; exit 1");
    }

    /// <summary>Waits for topics in this order; others may lie between.</summary>
    private static async Task ExpectEventsAsync(HostProcess events, params string[] topics)
    {
        foreach (string topic in topics)
        {
            await events.WaitForAsync(topic, GuestVm.Patience);
        }
    }
}
