using System.Diagnostics;
using System.Text.Json;
using Cnvm.Api.Http;
using Cnvm.Vmm;

namespace Cnvm.Api.Tests;

/// <summary><c>vmm.events</c>: what happened, and waiting for what happens next.</summary>
public sealed class EventRouteTests : IDisposable
{
    private readonly ServerFixture _server = new();

    public void Dispose() => _server.Dispose();

    [Fact]
    public void What_happened_is_told_at_once_in_the_form_of_the_event_monitor()
    {
        using RawClient client = _server.Connect();
        Assert.Equal("""{"last":0,"events":[]}""", client.Request("GET", "vmm.events").Text);
        _server.Vmm.Events.Add(new VmmEvent("vm", "booting"));
        _server.Vmm.Events.Add(new VmmEvent("virtio-device", "activated", new Dictionary<string, string> { ["id"] = "_disk0" }));

        using JsonDocument page = JsonDocument.Parse(client.Request("GET", "vmm.events").Body);

        Assert.Equal(2, page.RootElement.GetProperty("last").GetInt32());
        JsonElement[] events = [.. page.RootElement.GetProperty("events").EnumerateArray()];
        Assert.Equal(["booting", "activated"], events.Select(e => e.GetProperty("event").GetString()));
        Assert.Equal([1, 2], events.Select(e => e.GetProperty("number").GetInt32()));
        Assert.Equal("""{"id":"_disk0"}""", events[1].GetProperty("properties").GetRawText());
        Assert.InRange(events[0].GetProperty("timestamp").GetProperty("nanos").GetInt64(), 0, 999_999_999);
    }

    [Fact]
    public void A_client_waits_for_the_next_event_and_others_are_served_meanwhile()
    {
        _server.Vmm.Events.Add(new VmmEvent("vmm", "starting"));
        using RawClient waiting = _server.Connect();
        using RawClient other = _server.Connect();
        waiting.Send(Get("vmm.events?after=1"));
        Assert.Equal(200, other.Request("GET", "vmm.ping").Status);
        Assert.False(waiting.Socket.Poll(100_000, System.Net.Sockets.SelectMode.SelectRead), "answered before anything happened");

        _server.Vmm.Events.Add(new VmmEvent("vm", "paused"));

        RawAnswer answer = waiting.Receive();
        Assert.Equal(200, answer.Status);
        Assert.Contains("\"last\":2,\"events\":[{\"number\":2,", answer.Text, StringComparison.Ordinal);
        // The connection goes on.
        Assert.Equal(200, waiting.Request("GET", "vmm.ping").Status);
    }

    [Fact]
    public void Events_that_are_too_old_are_forgotten_and_numbers_go_on()
    {
        for (int i = 0; i < EventHistory.Capacity + 10; i++)
        {
            _server.Vmm.Events.Add(new VmmEvent("vm", "paused"));
        }

        using RawClient client = _server.Connect();
        using JsonDocument page = JsonDocument.Parse(client.Request("GET", "vmm.events?after=3").Body);

        Assert.Equal(EventHistory.Capacity + 10, page.RootElement.GetProperty("last").GetInt32());
        Assert.Equal(EventHistory.Capacity, page.RootElement.GetProperty("events").GetArrayLength());
        Assert.Equal(11, page.RootElement.GetProperty("events")[0].GetProperty("number").GetInt32());
    }

    [Fact]
    public void A_number_of_another_process_is_answered_at_once()
    {
        using RawClient client = _server.Connect();
        Assert.Equal("""{"last":0,"events":[]}""", client.Request("GET", "vmm.events?after=77").Text);
    }

    [Theory]
    [InlineData("vmm.events?after=")]
    [InlineData("vmm.events?after=-1")]
    [InlineData("vmm.events?after=18446744073709551616")]
    [InlineData("vmm.events?before=1")]
    [InlineData("vmm.events?")]
    public void Another_query_is_refused(string endpoint)
    {
        using RawClient client = _server.Connect();
        RawAnswer answer = client.Request("GET", endpoint);
        Assert.Equal(400, answer.Status);
        Assert.Contains("after=NUMBER", answer.Text, StringComparison.Ordinal);
    }

    [Fact]
    public void Endpoints_that_take_no_query_have_none()
    {
        using RawClient client = _server.Connect();
        Assert.Equal(404, client.Request("GET", "vmm.ping?after=1").Status);
        Assert.Equal(400, client.Request("PUT", "vmm.events?after=0").Status);
    }

    [Fact]
    public void Clients_that_wait_are_few_and_those_that_go_make_room()
    {
        List<RawClient> waiting = [.. Enumerable.Range(0, HttpLimits.Waiting).Select(_ => _server.Connect())];
        waiting.ForEach(c => c.Send(Get("vmm.events?after=0")));
        using RawClient last = _server.Connect();
        RawAnswer refused = last.Request("GET", "vmm.events?after=0");
        Assert.Equal(429, refused.Status);

        waiting.ForEach(c => c.Dispose());
        // Each of them is noticed, though nothing happens that they wait for.
        var clock = Stopwatch.StartNew();
        using RawClient next = _server.Connect();
        next.Send(Get("vmm.events?after=0"));
        while (next.Socket.Poll(200_000, System.Net.Sockets.SelectMode.SelectRead))
        {
            Assert.Equal(429, next.Receive().Status);
            Assert.True(clock.Elapsed < TimeSpan.FromSeconds(30), "connections of clients that are gone still wait");
            next.Send(Get("vmm.events?after=0"));
        }

        _server.Vmm.Events.Add(new VmmEvent("vm", "resumed"));
        Assert.Equal(200, next.Receive().Status);
    }

    private static string Get(string endpoint) => $"GET /api/v1/{endpoint} HTTP/1.1\r\nHost: localhost\r\n\r\n";
}
