using System.Text;
using Cnvm.Shim.Events;
using Cnvm.Shim.Messages;
using Cnvm.Shim.Tests.Harness;
using Cnvm.Ttrpc;

namespace Cnvm.Shim.Tests;

/// <summary>The life of containers and processes, from Create to Shutdown.</summary>
public sealed class TaskLifeTests
{
    [Fact]
    public async Task The_calls_of_a_whole_run_work_in_containerds_order()
    {
        await using ShimHarness shim = await ShimHarness.StartAsync();
        string stdout = shim.MakeFifo();
        string stderr = shim.MakeFifo();
        Task<string> output = ShimHarness.ReadAllAsync(stdout);
        Task<string> errors = ShimHarness.ReadAllAsync(stderr);

        await shim.CreateAsync("c1", "echo out; echo err >&2; exit 7", new(null, stdout, stderr));
        Assert.Equal(ProcessStatus.Created, (await shim.Client.StateAsync("c1")).Status);
        int machine = shim.Factory.Sandboxes[0].ProcessId;
        Assert.Equal((uint)machine, (await shim.Client.ConnectTaskAsync("c1")).TaskPid);
        Task<WaitResponse> wait = shim.Client.WaitAsync("c1");
        Assert.Equal((uint)machine, (await shim.Client.StartAsync("c1")).Pid);

        WaitResponse ended = await wait;
        Assert.Equal(7u, ended.ExitStatus);
        StateResponse state = await shim.Client.StateAsync("c1");
        Assert.Equal((ProcessStatus.Stopped, 7u, stdout, stderr), (state.Status, state.ExitStatus, state.Stdout, state.Stderr));
        Assert.Equal(ended.ExitedAt, state.ExitedAt);
        DeleteResponse deleted = await shim.Client.DeleteAsync("c1");
        Assert.Equal((7u, (uint)machine), (deleted.ExitStatus, deleted.Pid));
        Assert.Equal(("out\n", "err\n"), (await output, await errors));
        Assert.True(shim.Factory.Sandboxes[0].IsDisposed);
        await shim.Client.ShutdownAsync("c1");
        await shim.Client.DisposeAsync();
        await shim.Running.WaitAsync(ShimHarness.Patience);

        IReadOnlyList<EventEnvelope> events = await shim.Containerd.WaitForAsync(4);
        Assert.Equal(["/tasks/create", "/tasks/start", "/tasks/exit", "/tasks/delete"], shim.Containerd.Topics);
        Assert.All(events, e => Assert.Equal("test", e.Namespace));
        Assert.Equal("containerd.events.TaskExit", events[2].Event!.TypeUrl);
        TaskExit exit = TaskExit.Read(events[2].Event!.Value.Span);
        Assert.Equal(("c1", "c1", 7u), (exit.ContainerId, exit.Id, exit.ExitStatus));
    }

    [Fact]
    public async Task The_start_is_told_before_the_end_however_soon_that_comes()
    {
        await using ShimHarness shim = await ShimHarness.StartAsync("pod");
        await shim.RunAsync("keeper", "sleep 1000");
        for (int i = 0; i < 10; i++)
        {
            await shim.RunAsync($"c{i}", ":");
            await shim.Client.WaitAsync($"c{i}");
            await shim.Client.DeleteAsync($"c{i}");
        }

        await shim.Containerd.WaitForAsync(42);
        Assert.Equal(Enumerable.Repeat((string[])["/tasks/create", "/tasks/start", "/tasks/exit", "/tasks/delete"], 10).SelectMany(t => t), shim.Containerd.Topics.Skip(2));
    }

    [Fact]
    public async Task Further_processes_have_streams_codes_and_events_of_their_own()
    {
        await using ShimHarness shim = await ShimHarness.StartAsync();
        await shim.RunAsync("c1", "sleep 1000");
        string stdin = shim.MakeFifo();
        string stdout = shim.MakeFifo();
        Task<string> output = ShimHarness.ReadAllAsync(stdout);

        await shim.Client.ExecAsync("c1", "e1", ShimHarness.Process("read line; echo got $line; exit 3").ToJsonString(), new(stdin, stdout));
        Assert.Equal(TtrpcCode.AlreadyExists, await ShimHarness.CodeOfAsync(shim.Client.ExecAsync("c1", "e1", "{}")));
        Assert.Equal(ProcessStatus.Created, (await shim.Client.StateAsync("c1", "e1")).Status);
        await shim.Client.StartAsync("c1", "e1");
        await File.WriteAllTextAsync(stdin, "this\n");
        Assert.Equal(3u, (await shim.Client.WaitAsync("c1", "e1")).ExitStatus);
        Assert.Equal("e1", (await shim.Client.StateAsync("c1", "e1")).ExecId);
        Assert.Equal(3u, (await shim.Client.DeleteAsync("c1", "e1")).ExitStatus);
        Assert.Equal("got this\n", await output);
        Assert.Equal(TtrpcCode.NotFound, await ShimHarness.CodeOfAsync(shim.Client.StateAsync("c1", "e1")));
        Assert.Equal(ProcessStatus.Running, (await shim.Client.StateAsync("c1")).Status);

        IReadOnlyList<EventEnvelope> events = await shim.Containerd.WaitForAsync(5);
        Assert.Equal(["/tasks/create", "/tasks/start", "/tasks/exec-added", "/tasks/exec-started", "/tasks/exit"], shim.Containerd.Topics);
        Assert.Equal(("c1", "e1", 3u), TaskExit.Read(events[4].Event!.Value.Span) is var e ? (e.ContainerId, e.Id, e.ExitStatus) : default);
    }

    [Fact]
    public async Task Signals_reach_a_process_and_what_has_ended_is_not_found()
    {
        await using ShimHarness shim = await ShimHarness.StartAsync();
        await shim.RunAsync("c1", "exec sleep 1000");
        Assert.Equal(TtrpcCode.FailedPrecondition, await ShimHarness.CodeOfAsync(shim.Client.DeleteAsync("c1")));
        Assert.Equal(TtrpcCode.InvalidArgument, await ShimHarness.CodeOfAsync(shim.Client.KillAsync("c1", 65)));

        await shim.Client.KillAsync("c1", Native.SigTerm);

        Assert.Equal(128u + Native.SigTerm, (await shim.Client.WaitAsync("c1")).ExitStatus);
        Assert.Equal(TtrpcCode.NotFound, await ShimHarness.CodeOfAsync(shim.Client.KillAsync("c1", Native.SigKill)));
        await shim.Client.DeleteAsync("c1");
        Assert.Equal(TtrpcCode.NotFound, await ShimHarness.CodeOfAsync(shim.Client.DeleteAsync("c1")));
    }

    [Fact]
    public async Task A_container_that_never_ran_can_be_killed_and_deleted()
    {
        await using ShimHarness shim = await ShimHarness.StartAsync("pod");
        await shim.CreateAsync("killed", "exit 1");
        Task<WaitResponse> wait = shim.Client.WaitAsync("killed");
        await shim.Client.KillAsync("killed", Native.SigKill);
        Assert.Equal(137u, (await wait).ExitStatus);
        Assert.Equal(TtrpcCode.FailedPrecondition, await ShimHarness.CodeOfAsync(shim.Client.StartAsync("killed")));

        await shim.CreateAsync("deleted", "exit 1");
        Assert.Null((await shim.Client.DeleteAsync("deleted")).ExitedAt);
        await shim.Client.DeleteAsync("killed");
        Assert.DoesNotContain(shim.Factory.Sandboxes.SelectMany(s => s.Containers), c => c.InitProcess.HasRun);
    }

    [Fact]
    public async Task A_paused_container_says_so_and_goes_on()
    {
        await using ShimHarness shim = await ShimHarness.StartAsync();
        await shim.RunAsync("c1", "exec sleep 1000");
        Assert.Equal(TtrpcCode.FailedPrecondition, await ShimHarness.CodeOfAsync(shim.Client.CallAsync<ResumeRequest, Empty>("Resume", new() { Id = "c1" })));

        await shim.Client.CallAsync<PauseRequest, Empty>("Pause", new() { Id = "c1" });
        Assert.Equal(ProcessStatus.Paused, (await shim.Client.StateAsync("c1")).Status);
        Assert.Equal(TtrpcCode.FailedPrecondition, await ShimHarness.CodeOfAsync(shim.Client.ExecAsync("c1", "e1", "{}")));
        await shim.Client.CallAsync<ResumeRequest, Empty>("Resume", new() { Id = "c1" });

        Assert.Equal(ProcessStatus.Running, (await shim.Client.StateAsync("c1")).Status);
        await shim.Containerd.WaitForAsync(4);
        Assert.Equal(["/tasks/paused", "/tasks/resumed"], shim.Containerd.Topics.Skip(2));
    }

    [Fact]
    public async Task Containers_of_a_pod_share_a_machine_and_the_last_one_ends_it()
    {
        await using ShimHarness shim = await ShimHarness.StartAsync("pod");
        await shim.RunAsync("pod", "exec sleep 1000");
        await shim.RunAsync("app", "exit 5");
        Assert.Single(shim.Factory.Sandboxes);
        Assert.Equal(5u, (await shim.Client.WaitAsync("app")).ExitStatus);

        await shim.Client.DeleteAsync("app");
        await shim.Client.ShutdownAsync("app");
        Assert.Equal(ProcessStatus.Running, (await shim.Client.StateAsync("pod")).Status);
        Assert.False(shim.Factory.Sandboxes[0].IsDisposed);

        await shim.Client.KillAsync("pod", Native.SigKill);
        Assert.Equal(137u, (await shim.Client.WaitAsync("pod")).ExitStatus);
        await shim.Client.DeleteAsync("pod");
        Assert.True(shim.Factory.Sandboxes[0].IsDisposed);
        await shim.Client.ShutdownAsync("pod");
        await shim.Client.DisposeAsync();
        await shim.Running.WaitAsync(ShimHarness.Patience);
    }

    [Fact]
    public async Task A_machine_that_dies_ends_its_containers_and_leaves_them_to_be_deleted()
    {
        await using ShimHarness shim = await ShimHarness.StartAsync();
        await shim.RunAsync("c1", "exec sleep 1000");
        await shim.Client.ExecAsync("c1", "e1", ShimHarness.Process("exec sleep 1000").ToJsonString());
        await shim.Client.StartAsync("c1", "e1");
        Task<WaitResponse> wait = shim.Client.WaitAsync("c1", "e1");

        Assert.Equal(0, Native.Kill(shim.Factory.Sandboxes[0].ProcessId, Native.SigKill));

        Assert.Equal(137u, (await wait).ExitStatus);
        Assert.Equal(137u, (await shim.Client.WaitAsync("c1")).ExitStatus);
        await shim.Client.DeleteAsync("c1");
        Assert.Equal(TtrpcCode.NotFound, await ShimHarness.CodeOfAsync(shim.Client.StateAsync("c1")));
    }

    [Fact]
    public async Task A_container_that_cannot_be_made_says_why_and_leaves_nothing()
    {
        await using ShimHarness shim = await ShimHarness.StartAsync();
        shim.Factory.Failure = "no kernel";
        TtrpcException refused = await Assert.ThrowsAsync<TtrpcException>(() => shim.CreateAsync("c1", ":"));
        Assert.Equal((TtrpcCode.Unknown, "no kernel"), (refused.Code, refused.Message));

        shim.Factory.Failure = null;
        Assert.Equal(TtrpcCode.NotFound, await ShimHarness.CodeOfAsync(shim.Client.StateAsync("c1")));
        await shim.CreateAsync("c1", ":");
        Assert.Equal(TtrpcCode.AlreadyExists, await ShimHarness.CodeOfAsync(shim.CreateAsync("c1", ":")));
        Assert.Equal(TtrpcCode.InvalidArgument, await ShimHarness.CodeOfAsync(shim.Client.CreateAsync(new() { Id = "../c2", Bundle = shim.Directory })));
        Assert.Equal(TtrpcCode.Unknown, await ShimHarness.CodeOfAsync(shim.Client.CreateAsync(new() { Id = "c2", Bundle = shim.Directory })));
    }

    [Theory]
    [InlineData("State")]
    [InlineData("Start")]
    [InlineData("Delete")]
    [InlineData("Pids")]
    [InlineData("Pause")]
    [InlineData("Resume")]
    [InlineData("Checkpoint")]
    [InlineData("Kill")]
    [InlineData("Exec")]
    [InlineData("ResizePty")]
    [InlineData("CloseIO")]
    [InlineData("Update")]
    [InlineData("Wait")]
    [InlineData("Stats")]
    public async Task Calls_for_a_container_that_is_not_there_are_not_found(string method)
    {
        await using ShimHarness shim = await ShimHarness.StartAsync();
        // Field 1 is the identifier in all of them.
        Assert.Equal(TtrpcCode.NotFound, await ShimHarness.CodeOfAsync(shim.Client.CallAsync<StateRequest, Empty>(method, new() { Id = "unknown" })));
    }

    [Fact]
    public async Task Calls_that_do_not_exist_are_unimplemented()
    {
        await using ShimHarness shim = await ShimHarness.StartAsync();
        Assert.Equal(TtrpcCode.Unimplemented, await ShimHarness.CodeOfAsync(shim.Client.CallAsync<StateRequest, Empty>("Fly", new() { Id = "c1" })));
    }

    [Fact]
    public async Task A_guest_that_says_without_a_pause_that_it_has_no_memory_is_heard_now_and_then()
    {
        const int Said = 20_000;
        await using ShimHarness shim = await ShimHarness.StartAsync();
        await shim.RunAsync("c1", "exec sleep 1000");
        ProcessSandbox sandbox = shim.Factory.Sandboxes[0];
        long began = System.Diagnostics.Stopwatch.GetTimestamp();
        for (int i = 0; i < Said; i++)
        {
            Assert.True(sandbox.OutOfMemory.Writer.TryWrite("c1"));
        }

        await shim.Containerd.WaitForAsync(2 + 50);
        Assert.True(System.Diagnostics.Stopwatch.GetElapsedTime(began) > TimeSpan.FromSeconds(0.9));
        Assert.True(sandbox.OutOfMemory.Reader.Count > Said / 2);

        // Other events are not behind all that.
        await shim.Client.KillAsync("c1", Native.SigKill);
        await shim.Client.WaitAsync("c1");
        IReadOnlyList<string> topics = shim.Containerd.Topics;
        for (int count = topics.Count + 1; !topics.Contains("/tasks/exit"); count = topics.Count + 1)
        {
            await shim.Containerd.WaitForAsync(count);
            topics = shim.Containerd.Topics;
        }

        Assert.True(topics.Count < Said / 2);
    }

    [Fact]
    public async Task Metrics_limits_processes_and_states_go_through()
    {
        await using ShimHarness shim = await ShimHarness.StartAsync();
        await shim.RunAsync("c1", "exec sleep 1000");
        ProcessSandbox sandbox = shim.Factory.Sandboxes[0];

        ProtoAny stats = (await shim.Client.CallAsync<StatsRequest, StatsResponse>("Stats", new() { Id = "c1" })).Stats!;
        Assert.Equal("io.containerd.cgroups.v1.Metrics", stats.TypeUrl);
        Assert.Equal(4096u, Metrics.CgroupMetrics.Read(stats.Value.Span).Memory!.Usage!.Usage);
        await shim.Client.CallAsync<UpdateTaskRequest, Empty>("Update", new() { Id = "c1", Resources = new ProtoAny("r", Encoding.UTF8.GetBytes("{\"pids\":{}}")) });
        Assert.Equal(["{\"pids\":{}}"], sandbox.Containers.Single().Updates);
        PidsResponse pids = await shim.Client.CallAsync<PidsRequest, PidsResponse>("Pids", new() { Id = "c1" });
        Assert.Equal((uint)sandbox.ProcessId, Assert.Single(pids.Processes).Pid);
        string state = Path.Combine(shim.Directory, "state");
        await shim.Client.CallAsync<CheckpointTaskRequest, Empty>("Checkpoint", new() { Id = "c1", Path = state });
        Assert.Equal([state], sandbox.Saved);

        Assert.True(sandbox.OutOfMemory.Writer.TryWrite("nobody's") && sandbox.OutOfMemory.Writer.TryWrite("c1"));
        await shim.Containerd.WaitForAsync(4);
        Assert.Equal(["/tasks/checkpointed", "/tasks/oom"], shim.Containerd.Topics.Skip(2));
        Assert.Equal("containerd.events.TaskOOM", shim.Containerd.Events[3].Event!.TypeUrl);

        await shim.CreateAsync("c2", ":");
        Assert.Equal(
            TtrpcCode.FailedPrecondition, await ShimHarness.CodeOfAsync(shim.Client.CallAsync<CheckpointTaskRequest, Empty>("Checkpoint", new() { Id = "c1", Path = state })));
    }
}
