using System.Text;

namespace Cnvm.Api.Tests;

/// <summary>Bytes on the wire, as Cloud Hypervisor's clients need them.</summary>
public sealed class HttpWireTests : IDisposable
{
    private const string Ping = "GET /api/v1/vmm.ping HTTP/1.1\r\nHost: localhost\r\n\r\n";
    private readonly ServerFixture _server = new();

    public void Dispose() => _server.Dispose();

    [Fact]
    public void Success_with_a_body_has_no_reason_phrase_and_exact_headers()
    {
        using RawClient client = _server.Connect();
        RawAnswer answer = client.Request("GET", "vmm.ping");
        Assert.Equal(
            "HTTP/1.1 200 \r\nServer: Cloud Hypervisor API\r\nConnection: keep-alive\r\nContent-Type: application/json\r\n"
            + $"Content-Length: {answer.Body.Length}\r\n\r\n",
            answer.Head);
        Assert.Equal("""{"build_version":"v9.9.9\u002Btest","version":"9.9.9","pid":4711,"features":["kvm"]}""", answer.Text);
    }

    [Fact]
    public void No_content_has_no_length()
    {
        using RawClient client = _server.Connect();
        RawAnswer answer = client.Request("PUT", "vm.delete");
        Assert.Equal("HTTP/1.1 204 \r\nServer: Cloud Hypervisor API\r\nConnection: keep-alive\r\n\r\n", answer.Head);
    }

    [Fact]
    public void Shutdown_of_the_vmm_answers_200_with_length_zero_and_then_asks_the_process_to_end()
    {
        using RawClient client = _server.Connect();
        RawAnswer answer = client.Request("PUT", "vmm.shutdown");
        Assert.Equal(
            "HTTP/1.1 200 \r\nServer: Cloud Hypervisor API\r\nConnection: keep-alive\r\nContent-Type: application/json\r\n"
            + "Content-Length: 0\r\n\r\n",
            answer.Head);
        Assert.True(_server.ShutdownRequested.Wait(TimeSpan.FromSeconds(20)));
        Assert.Equal(["shutdown-vmm"], _server.Vmm.Calls);
    }

    [Fact]
    public void One_connection_carries_many_requests()
    {
        using RawClient client = _server.Connect();
        for (int i = 0; i < 200; i++)
        {
            Assert.Equal(200, client.Request("GET", "vmm.ping").Status);
        }
    }

    [Fact]
    public void A_request_may_be_split_at_every_byte()
    {
        using RawClient client = _server.Connect();
        string request = "PUT /api/v1/vm.create HTTP/1.1\r\nHost: x\r\nContent-Length: 38\r\n\r\n{\"payload\": {\"kernel\":\"/boot/kernel\"}}";
        Assert.Equal(38, request.Length - request.IndexOf('{', StringComparison.Ordinal));
        for (int split = 1; split < request.Length; split++)
        {
            client.Send(request[..split]);
            client.Send(request[split..]);
            Assert.Equal(204, client.Receive().Status);
            Assert.Equal(204, client.Request("PUT", "vm.delete").Status);
        }
    }

    [Fact]
    public void A_request_may_come_byte_by_byte()
    {
        using RawClient client = _server.Connect();
        foreach (char c in Ping)
        {
            client.Send(c.ToString());
        }

        Assert.Equal(200, client.Receive().Status);
    }

    [Fact]
    public void Pipelined_requests_are_answered_in_order()
    {
        using RawClient client = _server.Connect();
        client.Send($"{Ping}PUT /api/v1/vm.delete HTTP/1.1\r\n\r\n{Ping}GET /api/v1/vm.info HTTP/1.1\r\n\r\n{Ping}");
        Assert.Equal([200, 204, 200, 404, 200], Enumerable.Range(0, 5).Select(_ => client.Receive().Status));
    }

    [Fact]
    public void A_client_that_has_closed_its_half_gets_its_answer()
    {
        using RawClient client = _server.Connect();
        client.Send("PUT /api/v1/vm.delete HTTP/1.1\r\n\r\n");
        client.Socket.Shutdown(System.Net.Sockets.SocketShutdown.Send);
        Assert.Equal(204, client.Receive().Status);
        client.ExpectEnd();
    }

    [Theory]
    [InlineData(0)]
    [InlineData(10)]
    [InlineData(70)]
    public void A_client_that_leaves_early_disturbs_nobody(int bytes)
    {
        string request = "PUT /api/v1/vm.create HTTP/1.1\r\nContent-Length: 100\r\n\r\n{\"payload\": {\"kernel\":\"/boot/kernel\"}}";
        for (int i = 0; i < 30; i++)
        {
            using RawClient leaver = _server.Connect();
            leaver.Send(request[..bytes]);
        }

        using RawClient client = _server.Connect();
        Assert.Equal(200, client.Request("GET", "vmm.ping").Status);
        Assert.Empty(_server.Vmm.Calls);
    }

    [Fact]
    public void A_client_that_leaves_during_its_call_disturbs_nobody()
    {
        using var entered = new ManualResetEventSlim(false);
        using var leave = new ManualResetEventSlim(false);
        _server.Vmm.OnCall = _ =>
        {
            entered.Set();
            leave.Wait();
        };
        using (RawClient leaver = _server.Connect())
        {
            leaver.Send("PUT /api/v1/vm.delete HTTP/1.1\r\n\r\n");
            entered.Wait();
        }

        leave.Set();
        using RawClient client = _server.Connect();
        Assert.Equal(204, client.Request("PUT", "vm.delete").Status);
    }

    [Fact]
    public void Ping_answers_while_another_call_is_under_way_and_others_wait_their_turn()
    {
        using var leave = new ManualResetEventSlim(false);
        using var entered = new ManualResetEventSlim(false);
        _server.Vmm.OnCall = call =>
        {
            if (call == "delete")
            {
                entered.Set();
                leave.Wait();
            }
        };
        using RawClient slow = _server.Connect();
        slow.Send("PUT /api/v1/vm.delete HTTP/1.1\r\n\r\n");
        entered.Wait();
        using RawClient waiting = _server.Connect();
        waiting.Send("PUT /api/v1/vm.nmi HTTP/1.1\r\n\r\n");
        using RawClient other = _server.Connect();
        Assert.Equal(200, other.Request("GET", "vmm.ping").Status);
        Assert.Equal(["delete"], _server.Vmm.Calls);
        leave.Set();
        Assert.Equal(204, waiting.Receive().Status);
        Assert.Equal(204, slow.Receive().Status);
        Assert.Equal(["delete", "nmi"], _server.Vmm.Calls);
    }

    [Fact]
    public void A_slow_client_holds_up_nobody()
    {
        using RawClient slow = _server.Connect();
        slow.Send("PUT /api/v1/vm.cre");
        using RawClient other = _server.Connect();
        Assert.Equal(200, other.Request("GET", "vmm.ping").Status);
        slow.Send("ate HTTP/1.1\r\nContent-Length: 4\r\n\r\nnu");
        Assert.Equal(200, other.Request("GET", "vmm.ping").Status);
        slow.Send("ll");
        Assert.Equal(400, slow.Receive().Status);
    }

    [Fact]
    public void The_eleventh_connection_is_refused_and_the_next_after_a_close_is_not()
    {
        var clients = new List<RawClient>();
        for (int i = 0; i < 10; i++)
        {
            clients.Add(_server.Connect());
            Assert.Equal(200, clients[i].Request("GET", "vmm.ping").Status);
        }

        using (RawClient eleventh = _server.Connect())
        {
            RawAnswer answer = eleventh.Receive();
            Assert.StartsWith("HTTP/1.1 503\r\n", answer.Head, StringComparison.Ordinal);
            Assert.Equal(["Too many open connections"], answer.Chain);
            eleventh.ExpectEnd();
        }

        Assert.Equal(200, clients[0].Request("GET", "vmm.ping").Status);
        clients[3].Dispose();
        // The server sees the close before it sees the ping that comes after it.
        Assert.Equal(200, clients[0].Request("GET", "vmm.ping").Status);
        using RawClient again = _server.Connect();
        Assert.Equal(200, again.Request("GET", "vmm.ping").Status);
        clients.ForEach(c => c.Dispose());
    }

    [Fact]
    public void Expect_continue_is_answered_before_the_body_comes()
    {
        using RawClient client = _server.Connect();
        client.Send("PUT /api/v1/vm.create HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 38\r\n\r\n");
        RawAnswer interim = client.Receive();
        Assert.Equal("HTTP/1.1 100 \r\nServer: Cloud Hypervisor API\r\nConnection: keep-alive\r\n\r\n", interim.Head);
        client.Send("{\"payload\": {\"kernel\":\"/boot/kernel\"}}");
        Assert.Equal(204, client.Receive().Status);
    }

    [Fact]
    public void Expect_continue_is_not_answered_when_the_body_is_there()
    {
        using RawClient client = _server.Connect();
        client.Send("PUT /api/v1/vm.create HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 38\r\n\r\n{\"payload\": {\"kernel\":\"/boot/kernel\"}}");
        Assert.Equal(204, client.Receive().Status);
    }

    [Fact]
    public void A_body_of_four_mebibytes_is_taken_and_one_byte_more_is_not()
    {
        const int Limit = 4 << 20;
        string start = "{\"payload\": {\"kernel\":\"/boot/kernel\"}, \"junk\":\"";
        string body = start + new string('x', Limit - start.Length - 2) + "\"}";
        using RawClient client = _server.Connect();
        Assert.Equal(204, client.Request("PUT", "vm.create", body).Status);
        client.Send($"PUT /api/v1/vm.create HTTP/1.1\r\nContent-Length: {Limit + 1}\r\n\r\n");
        Assert.Equal(400, client.Receive().Status);
        client.ExpectEnd();
    }

    [Fact]
    public void Lines_of_1024_bytes_are_taken_and_one_byte_more_is_not()
    {
        using RawClient client = _server.Connect();
        client.Send($"GET /api/v1/vmm.ping HTTP/1.1\r\nX: {new string('x', 1021)}\r\n\r\n");
        Assert.Equal(200, client.Receive().Status);
        client.Send($"GET /api/v1/vmm.ping HTTP/1.1\r\nX: {new string('x', 1022)}\r\n\r\n");
        Assert.Equal(400, client.Receive().Status);
        client.ExpectEnd();
    }

    [Theory]
    [InlineData("GET /api/v1/vmm.ping HTTP/1.1\n\n")]
    [InlineData("GET /api/v1/vmm.ping HTTP/1.1\r\nHost: x\n\r\n\r\n")]
    [InlineData("GET /api/v1/vmm.ping HTTP/1.1\rX\r\n\r\n")]
    [InlineData("\r\nGET /api/v1/vmm.ping HTTP/1.1\r\n\r\n")]
    [InlineData("GET /api/v1/vmm.ping\r\n\r\n")]
    [InlineData("GET /api/v1/vmm.ping HTTP/2.0\r\n\r\n")]
    [InlineData("GET  HTTP/1.1\r\n\r\n")]
    [InlineData(" GET /api/v1/vmm.ping HTTP/1.1\r\n\r\n")]
    [InlineData("get /api/v1/vmm.ping HTTP/1.1\r\n\r\n")]
    [InlineData("GET /api/v1/vmm ping HTTP/1.1\r\n\r\n")]
    [InlineData("GET /api/v1/vmm.p\u00e4ng HTTP/1.1\r\n\r\n")]
    [InlineData("GET /api/v1/vmm.ping HTTP/1.1\r\nHost x\r\n\r\n")]
    [InlineData("GET /api/v1/vmm.ping HTTP/1.1\r\n: x\r\n\r\n")]
    [InlineData("GET /api/v1/vmm.ping HTTP/1.1\r\nHost : x\r\n\r\n")]
    [InlineData("GET /api/v1/vmm.ping HTTP/1.1\r\nHost: x\r\n folded\r\n\r\n")]
    [InlineData("GET /api/v1/vmm.ping HTTP/1.1\r\nHost: a\0b\r\n\r\n")]
    [InlineData("PUT /api/v1/vm.create HTTP/1.1\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}X")]
    [InlineData("PUT /api/v1/vm.create HTTP/1.1\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\n{}")]
    [InlineData("PUT /api/v1/vm.create HTTP/1.1\r\nContent-Length: 2, 2\r\n\r\n{}")]
    [InlineData("PUT /api/v1/vm.create HTTP/1.1\r\nContent-Length: +2\r\n\r\n{}")]
    [InlineData("PUT /api/v1/vm.create HTTP/1.1\r\nContent-Length: -1\r\n\r\n{}")]
    [InlineData("PUT /api/v1/vm.create HTTP/1.1\r\nContent-Length: 0x2\r\n\r\n{}")]
    [InlineData("PUT /api/v1/vm.create HTTP/1.1\r\nContent-Length:\r\n\r\n{}")]
    [InlineData("PUT /api/v1/vm.create HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n{}")]
    [InlineData("PUT /api/v1/vm.create HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n")]
    [InlineData("PUT /api/v1/vm.create HTTP/1.1\r\nContent-Length: 2\r\ntransfer-encoding: identity\r\n\r\n{}")]
    [InlineData("PUT /api/v1/vm.create HTTP/1.1\r\nExpect: tea\r\nContent-Length: 2\r\n\r\n{}")]
    public void What_is_no_request_is_refused_and_the_connection_closed(string input)
    {
        using RawClient client = _server.Connect();
        client.Send(input);
        RawAnswer answer = client.Receive();
        Assert.Equal(400, answer.Status);
        Assert.Equal("The HTTP request is not valid", answer.Chain[1]);
        client.ExpectEnd();
        Assert.Empty(_server.Vmm.Calls);
        using RawClient next = _server.Connect();
        Assert.Equal(200, next.Request("GET", "vmm.ping").Status);
    }

    [Theory]
    [InlineData(20_000, 1)]
    [InlineData(10, 65)]
    public void Giant_heads_are_refused(int length, int count)
    {
        using RawClient client = _server.Connect();
        var head = new StringBuilder("GET /api/v1/vmm.ping HTTP/1.1\r\n");
        for (int i = 0; i < count; i++)
        {
            head.Append("X: ").Append('x', length).Append("\r\n");
        }

        client.Send(head.Append("\r\n").ToString());
        Assert.Equal(400, client.Receive().Status);
        client.ExpectEnd();
    }

    [Fact]
    public void Absolute_form_and_http_1_0_are_taken_and_unknown_headers_ignored()
    {
        using RawClient client = _server.Connect();
        client.Send("GET http://localhost/api/v1/vmm.ping HTTP/1.1\r\nX-Whatever: 1\r\nconnection: close\r\n\r\n");
        Assert.Equal(200, client.Receive().Status);
        client.Send("GET /api/v1/vmm.ping HTTP/1.0\r\n\r\n");
        Assert.Equal(200, client.Receive().Status);
    }
}
