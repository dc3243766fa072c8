using Cnvm.Api;
using Cnvm.Cli.Output;
using Cnvm.Cli.Parsing;

namespace Cnvm.Cli.Commands;

/// <summary>Commands that are one request each; what the VMM answers is printed as it came.</summary>
internal static class RequestCommand
{
    /// <param name="body">JSON; empty for none.</param>
    /// <param name="descriptors">Sent along; they stay open here.</param>
    public static int Send(
        Invocation invocation, string method, string endpoint, ReadOnlySpan<byte> body = default, ReadOnlySpan<int> descriptors = default)
    {
        using CnvmClient client = VmTarget.Find(invocation).Connect();
        byte[] answer = client.Call(method, endpoint, body, descriptors);
        if (answer.Length > 0)
        {
            Stdio.Print(answer);
        }

        return ExitCode.Success;
    }
}
