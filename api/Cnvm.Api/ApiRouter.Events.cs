using System.Globalization;
using Cnvm.Api.Http;
using Cnvm.Api.Json;
using Cnvm.Vmm;

namespace Cnvm.Api;

// What happens, for clients that wait for it.
internal sealed partial class ApiRouter
{
    private const string AfterKey = "after=";

    /// <summary>Answer to a request that would have to wait beside too many others.</summary>
    public static HttpResponse TooManyWaiting =>
        Error(429, "Error from API", "The events are not available", $"{HttpLimits.Waiting} clients wait for events already");

    /// <summary>Whether the request has to wait for the next event.</summary>
    public bool MustWait(HttpRequest request) => Find(request) is { MustWait: { } mustWait } route && route.Method == request.Method && mustWait(request);

    private bool MustWaitForEvent(HttpRequest request) => TryReadAfter(request, out ulong? after) && after == _vmm.Events.Last;

    private HttpResponse Events(HttpRequest request)
    {
        if (!TryReadAfter(request, out ulong? after))
        {
            throw new VmmException(VmmErrorKind.Invalid, $"{request.Path}: the query is after=NUMBER, or nothing");
        }

        IReadOnlyList<RecordedEvent> events = _vmm.Events.After(after ?? 0);
        ulong last = events.Count > 0 ? events[^1].Number : _vmm.Events.Last;
        return Json(new EventPage(last, [.. events.Select(EventEntry.Of)]), ApiJsonContext.Default.EventPage);
    }

    private static bool TryReadAfter(HttpRequest request, out ulong? after)
    {
        after = null;
        int mark = request.Path.IndexOf('?', StringComparison.Ordinal);
        if (mark < 0)
        {
            return true;
        }

        ReadOnlySpan<char> query = request.Path.AsSpan(mark + 1);
        if (!query.StartsWith(AfterKey, StringComparison.Ordinal)
            || !ulong.TryParse(query[AfterKey.Length..], NumberStyles.None, CultureInfo.InvariantCulture, out ulong number))
        {
            return false;
        }

        after = number;
        return true;
    }
}
