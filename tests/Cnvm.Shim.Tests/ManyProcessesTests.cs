using Cnvm.Shim.Events;
using Cnvm.Shim.Messages;
using Cnvm.Shim.Tests.Harness;
using Cnvm.Ttrpc;

namespace Cnvm.Shim.Tests;

/// <summary>Alone, as it counts descriptors of this process.</summary>
[Collection(nameof(ManyProcessesTests))]
[CollectionDefinition(nameof(ManyProcessesTests), DisableParallelization = true)]
public sealed class ManyProcessesTests
{
    [Fact]
    public async Task Further_processes_that_are_killed_leave_no_stream_and_no_name()
    {
        const int AtOnce = 4;
        const int Rounds = 250;
        await using ShimHarness shim = await ShimHarness.StartAsync();
        await shim.RunAsync("c1", "exec sleep 1000");
        for (int round = 0; round < Rounds; round++)
        {
            int number = round;
            await Task.WhenAll(Enumerable.Range(0, AtOnce).Select(i => KillOneAsync(shim, $"e{number}-{i}")));
        }

        Assert.DoesNotContain(Open(), path => path.StartsWith(shim.Directory + "/fifo", StringComparison.Ordinal));
        Assert.Equal(ProcessStatus.Running, (await shim.Client.StateAsync("c1")).Status);
        const int OfEach = 3;
        IReadOnlyList<EventEnvelope> events = await shim.Containerd.WaitForAsync(2 + (Rounds * AtOnce * OfEach));
        Assert.Equal(Rounds * AtOnce, events.Count(e => e.Topic == "/tasks/exit"));
        Assert.Equal(Rounds * AtOnce, shim.Factory.Sandboxes[0].Containers.Single().Execs.Count());
    }

    private static async Task KillOneAsync(ShimHarness shim, string name)
    {
        string stdin = shim.MakeFifo();
        string stdout = shim.MakeFifo();
        await shim.Client.ExecAsync("c1", name, ShimHarness.Process("exec sleep 1000").ToJsonString(), new(stdin, stdout));
        await shim.Client.StartAsync("c1", name);
        Task<WaitResponse> wait = shim.Client.WaitAsync("c1", name);
        await shim.Client.KillAsync("c1", Native.SigTerm, name);
        Assert.Equal(128u + Native.SigTerm, (await wait).ExitStatus);
        await shim.Client.DeleteAsync("c1", name);
        Assert.Equal(TtrpcCode.NotFound, await ShimHarness.CodeOfAsync(shim.Client.StateAsync("c1", name)));
        File.Delete(stdin);
        File.Delete(stdout);
    }

    /// <summary>What this process has open, with the names that files had.</summary>
    private static IEnumerable<string> Open() => Directory.GetFiles("/proc/self/fd").Select(f => new FileInfo(f).LinkTarget ?? "");
}
