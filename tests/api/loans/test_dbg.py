import asyncio
from tests.support.api_world import new_key
from tests.support.lending import path_of
from tests.api.loans.conftest import lender
from tests.api.conftest import *
async def test_dbg(lender):
    loan = await lender.active()
    path = path_of(loan)
    keys = [new_key() for _ in range(4)]
    calls = [lender.post(f"{path}/repay", {"amount": 1_000}, key=key) for key in keys]
    print([a.status_code for a in await asyncio.gather(*calls)])
    import json
    live=(await lender.world.get(f"{path}/live")).json()
    print({k:v for k,v in live.items() if k!='loan'})
    for i in range(5):
        for key in keys:
            a=await lender.post(f"{path}/repay", {"amount": 1_000}, key=key)
            print(a.status_code, a.text[:300] if a.status_code!=200 else '')
        await asyncio.sleep(1)
    print(await lender.world.balance("borrower"))
    h = lender.world.temporal.get_workflow_handle(loan["id"])
    async for e in h.fetch_history_events():
        from temporalio.api.enums.v1 import EventType
        print(e.event_id, EventType.Name(e.event_type), str(e.workflow_task_failed_event_attributes.failure.message)[:300] if e.HasField('workflow_task_failed_event_attributes') else '')
