using Cnvm.Shim.Tests.Harness;

namespace Cnvm.Shim.Tests;

/// <summary>Events while containerd goes away and comes back.</summary>
public sealed class EventTests
{
    [Fact]
    public async Task Events_wait_for_containerd_and_keep_their_order()
    {
        await using ShimHarness shim = await ShimHarness.StartAsync();
        await shim.CreateAsync("c1", "exit 2");
        await shim.Containerd.WaitForAsync(1);
        await shim.Containerd.StopAsync();

        // No call fails or waits because nobody takes its event.
        await shim.Client.StartAsync("c1");
        Assert.Equal(2u, (await shim.Client.WaitAsync("c1")).ExitStatus);
        await shim.Client.DeleteAsync("c1");
        Assert.Equal(["/tasks/create"], shim.Containerd.Topics);

        shim.Containerd.Start();
        await using TaskClient again = await TaskClient.ConnectAsync(shim.ShimSocket);
        await shim.Containerd.WaitForAsync(4);
        Assert.Equal(["/tasks/create", "/tasks/start", "/tasks/exit", "/tasks/delete"], shim.Containerd.Topics);
    }
}
