using System.Text;
using Cnvm.Api.Tests.Machine;
using Cnvm.Linux;
using Xunit.Abstractions;

namespace Cnvm.Api.Tests.Fuzz;

/// <summary>Calls in any order and from several clients at once, to machines that run.</summary>
[Collection(FuzzRun.Collection)]
public sealed class CallFuzzTests(ITestOutputHelper output)
{
    private static readonly string[] Actions =
        ["vm.boot", "vm.pause", "vm.resume", "vm.reboot", "vm.shutdown", "vm.power-button", "vm.delete", "vm.create", "vm.add-disk", "vm.info", "vm.counters"];

    [Fact]
    public void Calls_in_every_state_do_what_the_model_says_or_nothing()
    {
        using var vmm = new MachineFixture();
        OpenDescriptors? before = null;
        FuzzRun.Repeat(output, 12, random =>
        {
            using (RawClient client = vmm.Connect())
            {
                Model(random, vmm, client);
                client.Request("PUT", "vm.delete");
            }

            vmm.Log.ExpectNone();
            // The first run opens what stays open.
            before ??= OpenDescriptors.Now();
            before.ExpectNoMore();
        });
    }

    [Fact]
    public void Calls_that_race_leave_a_machine_that_works_and_pings_that_were_answered()
    {
        using var vmm = new MachineFixture();
        using var ping = new PingWatch(vmm.SocketPath);
        OpenDescriptors? before = null;
        FuzzRun.Repeat(output, 6, random =>
        {
            int[] seeds = [.. Enumerable.Range(0, 4).Select(_ => random.Next())];
            Task[] racers = [.. seeds.Select(seed => Task.Run(() => Race(new Random(seed), vmm)))];
            Task.WaitAll(racers);
            using (RawClient client = vmm.Connect())
            {
                Assert.Equal(204, client.Request("PUT", "vm.delete").Status);
                Assert.Equal(204, client.Request("PUT", "vm.create", vmm.Body()).Status);
                Assert.Equal(204, client.Request("PUT", "vm.boot").Status);
                Assert.Equal("Running", client.Request("GET", "vm.info").Json.GetProperty("state").GetString());
                Assert.Equal(204, client.Request("PUT", "vm.delete").Status);
            }

            vmm.Log.ExpectNone();
            before ??= OpenDescriptors.Now();
            before.ExpectNoMore();
        });
        ping.Expect();
        output.WriteLine($"{ping.Count} pings, the slowest {ping.SlowestMilliseconds:F1} ms");
    }

    /// <summary>What the life cycle's specification says, beside what the VMM does.</summary>
    private static void Model(Random random, MachineFixture vmm, RawClient client)
    {
        string state = "";
        for (int step = 0; step < 25; step++)
        {
            string action = Actions[random.Next(Actions.Length)];
            (int status, state) = Expected(action, state);
            string? body = action switch
            {
                "vm.create" => vmm.Body(),
                "vm.add-disk" => $$"""{"path":"{{vmm.Disk($"disk{step}")}}"}""",
                _ => null,
            };
            RawAnswer answer = client.Request(action is "vm.info" or "vm.counters" ? "GET" : "PUT", action, body);
            Assert.True(answer.Status == status, $"step {step}, {action} in state '{state}': {answer.Status} {answer.Text}, not {status}");
            Assert.True(answer.Body.All(b => b is >= 0x20 and < 0x7f), answer.Text);
            string now = client.Request("GET", "vm.info") is { Status: 200 } info ? info.Json.GetProperty("state").GetString()! : "";
            Assert.Equal(state, now);
        }
    }

    private static (int Status, string State) Expected(string action, string state)
    {
        bool booted = state is "Running" or "Paused";
        return action switch
        {
            "vm.delete" => (204, ""),
            "vm.create" => state.Length > 0 ? (500, state) : (204, "Created"),
            _ when state.Length == 0 => (404, state),
            "vm.info" => (200, state),
            "vm.counters" => (booted ? 200 : 500, state),
            "vm.add-disk" => (booted ? 200 : 204, state),
            "vm.boot" => (booted ? 500 : 204, booted ? state : "Running"),
            _ when !booted => (500, state),
            "vm.pause" => (state == "Running" ? 204 : 500, "Paused"),
            "vm.resume" => (state == "Paused" ? 204 : 500, "Running"),
            "vm.reboot" => (204, "Running"),
            "vm.shutdown" => (204, "Shutdown"),
            _ => (204, state),
        };
    }

    private static void Race(Random random, MachineFixture vmm)
    {
        using UnixStream client = UnixStream.Connect(vmm.SocketPath);
        string[] more = [.. Actions, "vm.nmi", "vmm.metrics", "vmm.ping", "vm.add-net", "vm.remove-device", "vm.resize", "vm.snapshot", "vm.restore"];
        byte[] buffer = new byte[65536];
        for (int i = 0; i < 15; i++)
        {
            string action = more[random.Next(more.Length)];
            string body = action switch
            {
                "vm.create" => vmm.Body(),
                "vm.add-disk" => """{"path":"/nowhere","id":"d"}""",
                "vm.add-net" => """{"id":"n"}""",
                "vm.remove-device" => """{"id":"d"}""",
                "vm.resize" => """{"desired_ram":16777216}""",
                "vm.snapshot" => """{"destination_url":"file:///tmp"}""",
                "vm.restore" => """{"source_url":"file:///tmp"}""",
                _ => "",
            };
            string method = action is "vm.info" or "vm.counters" or "vmm.metrics" or "vmm.ping" ? "GET" : "PUT";
            byte[] request = Encoding.UTF8.GetBytes($"{method} /api/v1/{action} HTTP/1.1\r\nContent-Length: {Encoding.UTF8.GetByteCount(body)}\r\n\r\n{body}");
            int[] fds = new int[random.Next(4) == 0 ? 1 : 0];
            Assert.Equal(request.Length, client.Send(request, fds));
            // Some leave while their call is under way.
            if (random.Next(30) == 0)
            {
                return;
            }

            Assert.True(client.Receive(buffer, []) > 0, $"no answer to {action}");
        }
    }
}
