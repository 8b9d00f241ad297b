"""How a picture is fitted: schedules, the Gauss-Newton finish, and the callbacks that run them."""
