using Cnvm.Nested;

namespace Cnvm.Guest.Tests.Kvm;

/// <summary>What one failed test does to the host must not reach the next one.</summary>
[Collection(KvmGuests.Name)]
public sealed class HostReplacement
{
    [GuestFact]
    public async Task A_host_that_does_not_answer_or_has_a_defect_is_replaced()
    {
        var fixture = new NestedHostFixture();
        try
        {
            GuestHost first = await fixture.HostAsync();
            Assert.Same(first, await fixture.HostAsync());
            // It goes down at once, in the middle of a command.
            await first.CleanUpAsync(async () => await first.RunAsync("echo b >/proc/sysrq-trigger; sleep 100", TimeSpan.FromSeconds(20)));
            Assert.IsAssignableFrom<Exception>(first.Defect);

            GuestHost second = await fixture.HostAsync();

            Assert.NotSame(first, second);
            Assert.Equal("alive\n", (await second.RunAsync("echo alive")).OrThrow().Output);
        }
        finally
        {
            await fixture.DisposeAsync();
        }
    }

    /// <summary>A process that left its group, and so is not killed with it, may not hold up whoever waits for the end.</summary>
    [GuestFact]
    public async Task Ending_a_command_does_not_wait_for_what_it_left_behind()
    {
        var host = new LocalHost();
        HostProcess process = await host.StartAsync("setsid sleep 60 & echo CNVM-LEFT-$!.; sleep 60");
        await process.WaitForAsync("CNVM-LEFT-", GuestVm.Patience);
        await process.WaitForAsync(".", GuestVm.Patience);
        string left = process.Output.Split('-')[^1].TrimEnd('.', '\n');

        await process.DisposeAsync().AsTask().WaitAsync(TimeSpan.FromSeconds(60));

        (await host.RunAsync($"kill -KILL {left}")).OrThrow();
    }
}
