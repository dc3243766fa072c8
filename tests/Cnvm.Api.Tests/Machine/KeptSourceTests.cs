namespace Cnvm.Api.Tests.Machine;

/// <summary>A VM that has moved, and is kept at the source: it can be looked at, saved and deleted, and never runs at both.</summary>
public sealed class KeptSourceTests
{
    [Fact]
    public async Task It_does_not_run_here_again_by_one_call()
    {
        using var here = new MachineFixture();
        using RawClient source = here.Connect();
        string disk = here.Disk("disk");
        Expect(source, 204, "vm.create", here.Body($$""","disks":[{"path":"{{disk}}","id":"root","image_type":"Raw"}]"""));
        Expect(source, 204, "vm.boot");
        using (var there = new MachineFixture())
        {
            await MoveAsync(source, there);
        }

        foreach (string call in (string[])["vm.resume", "vm.reboot"])
        {
            AssertRefused(source, call);
        }

        AssertRefused(source, "vm.send-migration", """{"destination_url":"unix:/nowhere"}""");
        Assert.Equal("Paused", State(source));

        // The target is gone for good, and who knows that has a way that says so.
        string saved = Directory.CreateDirectory(Path.Combine(here.Folder, "saved")).FullName;
        Expect(source, 204, "vm.snapshot", $$"""{"destination_url":"file://{{saved}}"}""");
        Expect(source, 204, "vm.shutdown");
        AssertRefused(source, "vm.boot");
        Expect(source, 204, "vm.delete");
        Expect(source, 204, "vm.restore", $$"""{"source_url":"file://{{saved}}"}""");
        Expect(source, 204, "vm.resume");
        Assert.Equal("Running", State(source));
        here.Log.ExpectNone();
    }

    private static async Task MoveAsync(RawClient source, MachineFixture there)
    {
        string socket = Path.Combine(there.Folder, "move");
        using RawClient target = there.Connect();
        Task<RawAnswer> arrival = Task.Run(() => target.Request(
            "PUT", "vm.receive-migration", $$"""{"receiver_url":"unix:{{socket}}","disks":[{"id":"root","path":"{{there.Folder}}/root"}]}"""));
        Assert.True(SpinWait.SpinUntil(() => File.Exists(socket) || arrival.IsCompleted, TimeSpan.FromSeconds(30)));
        Expect(source, 200, "vm.send-migration", $$"""{"destination_url":"unix:{{socket}}","with_disks":true,"keep_source":true,"wait":true}""");
        RawAnswer arrived = await arrival;
        Assert.True(arrived.Status == 204, arrived.Text);
        Assert.Equal("Paused", State(source));
        Assert.Equal("Running", State(target));
        there.Log.ExpectNone();
    }

    private static void AssertRefused(RawClient client, string call, string? body = null)
    {
        RawAnswer answer = client.Request("PUT", call, body);
        Assert.Equal(500, answer.Status);
        Assert.Contains($"{call}: the VM has moved to unix:", answer.Text, StringComparison.Ordinal);
        Assert.Contains("vm.delete gives it up", answer.Text, StringComparison.Ordinal);
    }

    private static void Expect(RawClient client, int status, string call, string? body = null)
    {
        RawAnswer answer = client.Request("PUT", call, body);
        Assert.True(answer.Status == status, $"{call}: {answer.Status} {answer.Text}");
    }

    private static string? State(RawClient client) => client.Request("GET", "vm.info").Json.GetProperty("state").GetString();
}
