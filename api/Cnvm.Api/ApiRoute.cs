using System.Text.Json.Serialization.Metadata;
using Cnvm.Api.Http;
using Cnvm.Api.Metrics;

namespace Cnvm.Api;

/// <summary>An endpoint: what it takes, and what carries it out.</summary>
/// <param name="Method">The one HTTP method it takes.</param>
/// <param name="Name">The path behind <c>/api/v1/</c>.</param>
/// <param name="Failure">Opens the error chain; null for none.</param>
/// <param name="Handle">Carries out a request that has the right method, and a body if and only if there is to be one.</param>
internal sealed record ApiRoute(string Method, string Name, string? Failure, Func<HttpRequest, HttpResponse> Handle)
{
    /// <summary>Type of the body; null if there must not be one. Made when it is first needed: a start is cheaper without.</summary>
    public Func<JsonTypeInfo>? Body { get; init; }

    /// <summary>Type of the answer to a success; null if it has none, or is no JSON.</summary>
    public Func<JsonTypeInfo>? Answer { get; init; }

    /// <summary><see cref="Handle"/> returns without waiting for anything, and without touching the machine.</summary>
    public bool AnswersAtOnce { get; init; }

    /// <summary>
    /// Whether there is nothing to answer yet: the request waits for the next event. Null for endpoints that wait for nothing; the others
    /// take a query behind their path.
    /// </summary>
    public Func<HttpRequest, bool>? MustWait { get; init; }

    /// <summary>How long requests took.</summary>
    public CallLatency Latency { get; } = new();
}
